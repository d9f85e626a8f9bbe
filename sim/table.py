"""The table and the lamp of a scene, added to a MuJoCo specification. Knows nothing of arms and objects."""

from __future__ import annotations

import mujoco

from sim.scene import Light, TableTop

THING = 2  # contact group of build.py: what lies on the table; ARM is 1
ARM = 1
HALF = (0.75, 0.90)  # m, of the table's top
WALL: tuple[float, float, float] = (0.55, 0.57, 0.60)  # what stands behind it
TEXTURE_PIXELS = 128
BUILTIN = {
    "plain": mujoco.mjtBuiltin.mjBUILTIN_FLAT,
    "checker": mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
    "gradient": mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
    "specks": mujoco.mjtBuiltin.mjBUILTIN_FLAT,
}


def add_table(spec: mujoco.MjSpec, table: TableTop, floor: float) -> None:
    """A plane at `floor` (m) that carries, with the scene's colours on it, and the background."""
    wall = spec.add_texture(name="wall", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX)
    wall.builtin, wall.width, wall.height = mujoco.mjtBuiltin.mjBUILTIN_GRADIENT, 8, 48
    wall.rgb1, wall.rgb2 = WALL, [0.8 * part for part in WALL]
    # Every kind is a texture of one size, so that a context that draws one scene draws them all (pictures.py).
    texture = spec.add_texture(name="table", type=mujoco.mjtTexture.mjTEXTURE_2D, builtin=BUILTIN[table.texture])
    texture.width = texture.height = TEXTURE_PIXELS
    texture.rgb1, texture.rgb2 = table.colour, table.second
    if table.texture == "specks":
        texture.mark, texture.markrgb, texture.random = mujoco.mjtMark.mjMARK_RANDOM, table.second, 0.1
    material = spec.add_material(name="table", specular=0.1, shininess=0.2)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "table"
    material.texrepeat = [table.repeat, table.repeat]
    geom = spec.worldbody.add_geom(name="table", type=mujoco.mjtGeom.mjGEOM_PLANE, material="table")
    geom.size, geom.pos = [*HALF, 0.1], [0.2, 0.0, floor]
    geom.contype, geom.conaffinity, geom.condim = 0, ARM | THING, 4
    geom.friction, geom.solref = (0.5, 0.005, 0.0005), (0.006, 1.0)


def add_light(spec: mujoco.MjSpec, light: Light) -> None:
    """One lamp that looks at the middle of the table, and the headlight as what comes from everywhere."""
    lamp = spec.worldbody.add_light(name="lamp", pos=light.position, castshadow=light.shadows)
    lamp.dir = [target - here for target, here in zip((0.2, 0.0, 0.0), light.position, strict=True)]
    lamp.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    lamp.diffuse = [light.strength * part for part in light.tint]
    lamp.ambient, lamp.specular = [0.0] * 3, [0.1] * 3
    headlight = spec.visual.headlight
    headlight.ambient = [light.ambient * part for part in light.tint]
    headlight.diffuse, headlight.specular = [0.15] * 3, [0.0] * 3

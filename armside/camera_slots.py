"""Which camera slots a verb means: a bundle's, a released policy's for this kind of arm, or the profile's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from armside.profile import Profile

# What the released policies call their cameras (docs/sources.md); a single YAM has no released policy.
RELEASED = {"so100": ("cam0", "cam1"), "so101": ("cam0", "cam1"), "bi-yam": ("top", "left", "right")}


def slots_of(profile: Profile, bundle: Path | None = None, norm_tag: str | None = None) -> tuple[str, ...]:
    """Slots in the policy's order. Raises BundleError, SpecError."""
    if bundle is not None:
        from edge.session import camera_slots
        from policy_spec.bundle import open_bundle

        opened = open_bundle(bundle)
        return camera_slots(opened.spec.tag(norm_tag), opened.manifest.cameras)
    return tuple(profile.cameras) or RELEASED.get(profile.type, ("cam0",))

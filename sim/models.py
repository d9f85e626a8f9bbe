"""The simulated arms by the name of their robot. A new one is a row here and a file of its own."""

from __future__ import annotations

from policy_spec.errors import SimError, sentence
from sim.arms import ArmModel
from sim.so101 import SO101
from sim.yam import BI_YAM, YAM

MODELS: dict[str, ArmModel] = {model.robot: model for model in (SO101, YAM, BI_YAM)}


def model_of(robot: str) -> ArmModel:
    """The row of `robot`. Raises SimError that lists the known ones."""
    if robot not in MODELS:
        raise SimError(sentence("simulated robot", expected=" or ".join(MODELS), got=robot))
    return MODELS[robot]

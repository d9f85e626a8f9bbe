"""Run where only the wheel and its `edge` extra are: are the robot-side rooms whole without torch and onnx?

Knows nothing of the repository: it runs from another folder, so that what it imports is what was installed.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys

ROBOT_SIDE = ("policy_spec", "firmware_bridge", "edge", "episodes", "calib", "armside")
ABSENT = ("torch", "transformers", "onnx", "onnxscript", "pyarrow", "av", "mujoco")
# Beginnings of names. They join rooms, or read files, that the robot does not have.
WORKSTATION = (
    "armside.eval_",
    "armside.export_asked",
    "armside.export_samples",
    "armside.make_bundle",
    "armside.plan_",
    "armside.prove_bundle",
    "armside.quant_",
    "armside.stream_bundle",
    "episodes.lerobot",
)
ROOMS = (*ROBOT_SIDE, "train", "export", "quant", "sim")


def owners(room: str) -> set[str]:
    """The distributions whose record names a file in the room."""
    found = importlib.metadata.distributions()
    return {d.metadata["Name"] for d in found if f"\n{room}/" in "\n" + (d.read_text("RECORD") or "")}


def main() -> int:
    problems = [f"{name} can be imported here" for name in ABSENT if importlib.util.find_spec(name)]
    problems += [f"{room} is owned by {names}" for room in ROOMS if (names := owners(room)) != {"armside"}]
    count = 0
    for room in ROBOT_SIDE:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, room + "."):
            # The rest must load here; what a verb needs beyond that it imports when it runs.
            if module.name.endswith("__main__") or module.name.startswith(WORKSTATION):
                continue
            importlib.import_module(module.name)
            count += 1
    problems += [f"{name} was imported by the robot side" for name in ABSENT if name in sys.modules]
    for problem in problems:
        print("wheel:", problem)
    where = f"Python {sys.version.split()[0]}, without {', '.join(ABSENT)}"
    print(f"wheel: {count} modules of {len(ROBOT_SIDE)} rooms imported on {where}")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())

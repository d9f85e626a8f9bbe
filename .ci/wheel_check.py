"""Run where only the wheel and its `edge` extra are: are the robot-side rooms whole without torch and onnx?

Knows nothing of the repository: it runs from another folder, so that what it imports is what was installed.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys

ROBOT_SIDE = ("policy_spec", "firmware_bridge", "edge", "episodes", "armside")
ABSENT = ("torch", "transformers", "onnx", "huggingface_hub")
ROOMS = (*ROBOT_SIDE, "train", "export", "quant")


def main() -> int:
    problems = [f"{name} can be imported here" for name in ABSENT if importlib.util.find_spec(name)]
    owners = importlib.metadata.packages_distributions()
    problems += [
        f"{room} is owned by {owners.get(room)}" for room in ROOMS if set(owners.get(room, ())) != {"armside"}
    ]
    count = 0
    for room in ROBOT_SIDE:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, room + "."):
            # A verb of the workstation says by itself what it lacks; what must not happen is an import at
            # import time.
            if module.name.endswith("__main__"):
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

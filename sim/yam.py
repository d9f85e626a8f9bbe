"""The I2RT YAM as simulated, one or two: its motors under MIT control, the tensors of its links, its fingers.

Inertia: `yam.xml` and `linear_4310.xml` of i2rt-robotics/i2rt (MIT), turned into each link's axes. Gains: the bridge's
(firmware_bridge/damiao/robots.py); armatures and dry friction: MuJoCo Menagerie's `i2rt_yam` (MIT). A finger's
stiffness and force are ours. Other links are drawn and touched as the boxes that firmware_bridge.kinematics encloses
them with.
"""

from __future__ import annotations

import dataclasses
import math

from sim.arms import DARK, ArmModel, Motor, Part, Work
from sim.scene import CameraPose

_DM4340 = Motor(0.0, 0.0, kp=80.0, kv=5.0, force=28.0, damping=0.0, friction=0.1, armature=0.032)
_DM4310 = Motor(0.0, 0.0, kp=10.0, kv=1.5, force=10.0, damping=0.0, friction=0.1, armature=0.0018)


def _motor(kind: Motor, low: float, high: float) -> Motor:
    return dataclasses.replace(kind, low=low, high=high)


MOTORS = {
    "joint_1": _motor(_DM4340, -2.61799, 3.14159),
    "joint_2": _motor(_DM4340, 0.0, 3.66519),
    "joint_3": _motor(_DM4340, 0.0, 3.14159),
    "joint_4": _motor(_DM4310, -1.69297, 1.5708),
    "joint_5": _motor(_DM4310, -1.5708, 1.5708),
    "joint_6": _motor(_DM4310, -2.0944, 2.0944),
    "gripper": Motor(0.0, 0.0475, kp=2000.0, kv=40.0, force=30.0, damping=2.0, friction=0.1, armature=0.1),
}
INERTIA = {
    "base": (1.6940e-03, 6.7831e-04, 1.5706e-03, 2.4803e-07, 2.0453e-07, -9.4753e-07),
    "link1": (1.1469e-04, 4.7660e-05, 1.2600e-04, -4.6276e-06, -1.3427e-05, -2.5872e-06),
    "link2": (1.4669e-02, 1.4599e-02, 8.0009e-04, -1.1067e-08, -4.3301e-07, 3.1256e-06),
    "link3": (7.5895e-03, 7.6310e-03, 9.3761e-04, 4.3608e-06, -6.4069e-04, -1.0998e-05),
    "link4": (4.7359e-04, 7.6402e-04, 6.0449e-04, 3.0082e-05, -2.3880e-04, 2.9261e-05),
    "link5": (1.8428e-04, 2.1979e-04, 1.8105e-04, 2.1055e-07, 1.2917e-05, -3.4966e-07),
    "gripper": (4.0967e-04, 3.2494e-04, 3.6925e-04, 5.4494e-07, 7.9127e-07, -4.8396e-06),
    "finger_1": (4.8235e-05, 5.1953e-05, 5.0698e-05, 1.0337e-05, -1.1390e-05, 1.1049e-05),
    "finger_2": (5.1953e-05, 4.8235e-05, 5.0698e-05, -1.0337e-05, -1.1049e-05, -1.1390e-05),
}
_FINGER = (0.55, 0.60, 0.65)
PARTS = (
    Part("finger_1", "box", (0.0270, 0.0080, 0.0065), (-0.0634, 0.0239, -0.0516), colour=_FINGER, pad=True),
    Part("finger_1", "box", (0.0160, 0.0200, 0.0105), (-0.0234, 0.0239, -0.0576), colour=DARK),
    Part("finger_2", "box", (0.0080, 0.0270, 0.0065), (-0.0239, -0.0634, -0.0516), colour=_FINGER, pad=True),
    Part("finger_2", "box", (0.0200, 0.0160, 0.0105), (-0.0239, -0.0234, -0.0576), colour=DARK),
)
FRONT = CameraPose("front", (0.95, 0.0, 0.60), (0.32, 0.0, 0.05), fov_deg=45.0)
WRIST = CameraPose("wrist", (-0.095, 0.0, -0.040), (0.0, 0.0, -0.190), "gripper", (-1.0, 0.0, 0.0), fov_deg=70.0)
WORK = Work(
    shift=0.12,
    axis=0.0,
    reach=(0.24, 0.46),
    turn=math.pi,
    rest=math.pi,
    span=2.0,
    opens=math.pi / 2,
    one_jaw=False,
    wider=0.4,
    lags=0.15,
)

YAM = ArmModel(
    robot="yam",
    body="yam",
    motors=MOTORS,
    inertia=INERTIA,
    parts=PARTS,
    start=(0.0, 1.714, 1.472, -1.328, 0.0, 0.0, 0.7),  # low over its table, the gripper looking down
    floor=0.0,
    work=WORK,
    weightless=True,
    grasp=(0.0, 0.0, -0.1347),
    cameras=(FRONT, WRIST),
)
# Two arms 0.6 m apart that look the same way; the frame is the left one's, as the bridge's.
BI_YAM = dataclasses.replace(
    YAM,
    robot="bi-yam",
    bases={"left": (0.0, 0.3, 0.0, 0.0), "right": (0.0, -0.3, 0.0, 0.0)},
    cameras=(
        CameraPose("front", (1.10, -0.3, 0.75), (0.30, -0.3, 0.05), fov_deg=55.0),
        *(dataclasses.replace(WRIST, slot=f"{side}_wrist", link=f"{side}_gripper") for side in ("left", "right")),
    ),
)

"""The plain float32 MolmoAct2 in torch: the truth that graphs, schemes and engines are checked against.

One file per part. Module names follow the released tensor names, so that a checkpoint loads strictly, by name.
"""

from train.model.molmoact2 import MolmoAct2

__all__ = ["MolmoAct2"]

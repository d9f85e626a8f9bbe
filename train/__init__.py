"""Checkpoints at full precision: the plain reference model, its loader and its presets. Never imported on the robot."""

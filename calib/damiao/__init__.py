"""Calibrating YAM arms: zeros, the gripper's stroke, the motors' registers."""

"""checkpoint -> ONNX graphs: cut, rewritten, and verified against train's model. Runs on a workstation, never on
the robot.
"""

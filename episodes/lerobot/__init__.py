"""LeRobot datasets, v3.0 and v2.1, read and written without lerobot. `dataset.open_dataset`, `writer.LeRobotWriter`."""

"""Arms of Feetech STS3215 servos: frames, memory, bus, calibration, the arm, and virtual servos."""

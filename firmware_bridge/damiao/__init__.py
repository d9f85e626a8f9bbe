"""Arms of Damiao motors on CAN: frames, registers, bus, grippers, the arm, and virtual motors."""

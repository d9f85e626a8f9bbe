"""The safety core: when an arm may move, how far and how fast. Pure: no I/O, and time is passed in."""

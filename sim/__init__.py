"""A MuJoCo world behind the virtual servos: arms, a table, coloured objects, cameras, tasks and experts."""

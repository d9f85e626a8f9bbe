"""How well an arm still moves: backlash, dead band, heat, sag, errors on the bus, with a verdict."""

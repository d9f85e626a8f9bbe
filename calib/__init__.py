"""A new arm -> a calibrated arm: ports, motor ids, zeros, ranges, checks. Robot side: no torch, no engine.

Takes buses and drivers of firmware_bridge and a `Person` who answers questions; gives files, verdicts and pictures.
Knows no cameras (frames are handed in) and no profile (armside's verbs join them).
"""

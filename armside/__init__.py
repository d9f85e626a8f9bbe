"""The command line: one short file per verb, every import lazy. It joins the rooms, no logic of theirs."""

__version__ = "0.1.0"

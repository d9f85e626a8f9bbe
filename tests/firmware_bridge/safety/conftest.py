"""How hypothesis searches here: the same examples in every run, and no opinion about how busy the machine is."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("safety", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("safety")

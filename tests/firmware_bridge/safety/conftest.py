"""How hypothesis searches here: the same examples in every run, and no opinion about how busy the machine is.

In a mutation run the tests that search come last: what one look finds is found at once.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.firmware_bridge.safety.examples import MUTATED

settings.register_profile("safety", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("safety")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if MUTATED:
        items.sort(key=lambda item: item.get_closest_marker("hypothesis") is not None)

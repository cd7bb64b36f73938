"""How these tests run under mutmut (``make mutants``): the quick ones first, and no search for the smallest failing example."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings

_PROFILE = "mutants"

settings.register_profile(_PROFILE, phases=[Phase.explicit, Phase.generate], derandomize=True, database=None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--hypothesis-profile") == _PROFILE:
        items.sort(key=lambda item: "stateful" in item.nodeid)

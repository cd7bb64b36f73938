"""How Hypothesis runs the property tests: it sets no limit of time, for the machine may be busy.

Under mutmut (``make mutants``) the quick tests go first, and nobody waits for the smallest failing example.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings

_MUTANTS = "mutants"

# Both build on what Hypothesis has chosen: where CI is set, always the same examples and no database.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
settings.register_profile(_MUTANTS, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--hypothesis-profile") == _MUTANTS:
        items.sort(key=lambda item: "stateful" in item.nodeid)

"""What the drills' figures come to."""

from __future__ import annotations

import dataclasses
import math

from tests.chaos.cancel_drill import CancelOutcome, Stops, percentile
from tests.chaos.drill_report import drills_in_documentation
from tests.chaos.provider_drill import ProviderRun

STOPS = Stops("deferred", (0.5, 1.0, 1.9), marked=3, recorded=3, further=0)
RUN = ProviderRun(seed=1, tasks=200, successes=200, tries=200, bereaved=9, killed_after=30.2, took=99.6)


def test_a_percentile_is_one_of_the_values_that_were_measured() -> None:
    values = [float(n) for n in range(50, 0, -1)]

    assert [percentile(values, share) for share in (0.5, 0.95, 1.0)] == [25.0, 48.0, 50.0]
    assert math.isnan(percentile([], 0.5))


def test_cancels_hold_only_if_each_is_in_time_recorded_and_the_end_of_its_run() -> None:
    assert CancelOutcome((STOPS, STOPS)).holds
    for change in ({"marked": 4}, {"recorded": 2}, {"further": 1}, {"seconds": (0.5, 1.0, 2.1)}):
        assert not CancelOutcome((STOPS, dataclasses.replace(STOPS, **change))).holds


def test_a_provider_run_holds_only_if_each_task_succeeded_at_once_and_the_triggerer_had_some_to_lose() -> None:
    assert RUN.holds
    for change in ({"successes": 199}, {"tries": 201}, {"bereaved": 0}):
        assert not dataclasses.replace(RUN, **change).holds


def test_each_table_goes_between_its_own_markers() -> None:
    page = (
        "a\n<!-- cancel drill -->\nold\n<!-- end of cancel drill -->\n"
        "b\n<!-- provider drill -->\nkept\n<!-- end of provider drill -->\n"
    )

    made = drills_in_documentation(page, {"cancel": CancelOutcome((STOPS,)).to_json()})

    assert "| in the triggerer | 3 | 3 | 3 | 0 | 1.00 | 1.90 | 1.90 |" in made
    assert "| all | 3 |" in made
    assert "old" not in made
    assert "\nkept\n" in made
    other = drills_in_documentation(page, {"provider": [RUN.to_json()]})
    assert "| 1 | 200 | 200 | 200 | 30 | 9 | 100 |" in other
    assert "\nold\n" in other

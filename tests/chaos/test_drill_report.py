"""What the drills' figures come to."""

from __future__ import annotations

import dataclasses
import math

import pytest

from tests.chaos.cancel_drill import CancelOutcome, Stops, percentile
from tests.chaos.clock_drill import ClockOutcome
from tests.chaos.clock_judging import Failing, Waits, judged
from tests.chaos.clock_waiter import End, Way
from tests.chaos.drill_report import drills_in_documentation
from tests.chaos.provider_drill import ProviderRun

STOPS = Stops("deferred", (0.5, 1.0, 1.9), marked=3, recorded=3, further=0)
IN_TIME = Waits(Failing.NO_WORKER, Way.SYNC, asked=3, told=3, seconds=(5.0, 5.2, 6.0))
NOT_TAKEN = End(1, 10.0, 15.1, "NotAcceptedError", "There is no consumer group 'x'.", deadline=610.0)
SILENT = End(1, 10.0, 27.0, "WorkerSilentError", "Worker host-77-ab took it", deadline=610.0)
UNREACHED = End(1, 10.0, 22.2, "ResultTimeoutError", "Check that this process can reach the broker", deadline=22.0)
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


def test_clocks_hold_only_if_each_wait_ended_in_its_time_and_said_why() -> None:
    assert ClockOutcome((IN_TIME, IN_TIME)).holds
    for change in ({"asked": 4}, {"told": 2}, {"seconds": (5.0, 4.9, 6.0)}, {"seconds": (5.0, 5.2, 6.1)}):
        assert not ClockOutcome((IN_TIME, dataclasses.replace(IN_TIME, **change))).holds


@pytest.mark.parametrize(
    "failing, end, befell, seconds",
    [
        (Failing.NO_WORKER, NOT_TAKEN, {}, 5.1),
        (Failing.FROZEN, SILENT, {1: 21.5}, 5.5),
        (Failing.NO_BROKER, UNREACHED, {1: 12.0}, 0.2),
    ],
)
def test_a_wait_is_judged_by_what_it_said_and_from_when_its_time_counts(
    failing: Failing, end: End, befell: dict[int, float], seconds: float
) -> None:
    def judge(end: End, befell: dict[int, float] = befell) -> Waits:
        return judged(failing, Way.ASYNC, range(1, 2), {end.n: end}, worker=77, befell=befell)

    assert judge(end).seconds == pytest.approx((seconds,))
    assert judge(end).holds
    # What is missing, was another error, or says something else does not hold; nor does what had ended before.
    assert not judge(dataclasses.replace(end, n=2)).holds
    assert not judge(dataclasses.replace(end, error="", says="")).holds
    assert not judge(dataclasses.replace(end, says="Worker host-78-ab: nobody knows")).holds
    assert not judge(dataclasses.replace(end, error="BrokerUnavailableError", deadline=None)).holds
    if befell:
        assert not judge(end, {1: 30.0}).holds


def test_each_table_goes_between_its_own_markers() -> None:
    page = (
        "a\n<!-- cancel drill -->\nold\n<!-- end of cancel drill -->\n"
        "b\n<!-- provider drill -->\nkept\n<!-- end of provider drill -->\n"
        "c\n<!-- clock drill -->\n<!-- end of clock drill -->\n"
    )

    made = drills_in_documentation(page, {"cancel": CancelOutcome((STOPS,)).to_json()})

    assert "| in the triggerer | 3 | 3 | 3 | 0 | 1.00 | 1.90 | 1.90 |" in made
    assert "| all | 3 |" in made
    assert "old" not in made
    assert "\nkept\n" in made
    other = drills_in_documentation(page, {"provider": [RUN.to_json()]})
    assert "| 1 | 200 | 200 | 200 | 30 | 9 | 100 |" in other
    assert "\nold\n" in other
    clocks = drills_in_documentation(page, {"clocks": ClockOutcome((IN_TIME,)).to_json()})
    assert "| no worker | `WorkflowClient` | 3 | 3 | the call | 5 to 6 | 5.00 | 5.20 | 6.00 |" in clocks

"""The schedule follows from the seed, and holds what its extent asks for."""

from __future__ import annotations

from collections import Counter

from tests.chaos.report import in_documentation
from tests.chaos.schedule import LONG, SHORT, WITH_AIRFLOW, Extent, Lane, schedule

EXTENTS: tuple[Extent, ...] = (SHORT, LONG, WITH_AIRFLOW)


def test_a_seed_always_gives_the_same_disasters_and_another_seed_gives_others() -> None:
    assert schedule(1, LONG) == schedule(1, LONG)
    assert schedule(1, LONG) != schedule(2, LONG)


def test_a_schedule_holds_every_disaster_as_often_as_asked_while_requests_are_left_to_suffer_from_it() -> None:
    for extent in EXTENTS:
        for seed in range(50):
            found = schedule(seed, extent)
            assert Counter(one.kind for one in found) == extent.kinds
            assert all(0 < one.at < 0.9 * extent.requests for one in found)


def test_a_lane_of_its_own_does_not_change_the_disasters_of_the_others() -> None:
    same = Extent(LONG.requests, LONG.per_second, WITH_AIRFLOW.kinds)
    assert [one for one in schedule(3, same) if one.kind.lane is not Lane.AIRFLOW] == schedule(3, LONG)


def test_the_table_replaces_what_stands_between_the_markers_and_nothing_else() -> None:
    page = "before\n<!-- chaos -->\nold\n<!-- end of chaos -->\nafter\n"
    sums = dict.fromkeys(
        ("asked", "right", "lost", "wrong", "double", "ran_again", "ran_at_once", "executions", "unstored", "repeated"),
        0,
    )
    came = {"began": 1.0, "ended": 2.0, "kind": "kill -9 a broker", "what": "broker 2"}
    made = in_documentation(page, [{"seed": 7, "took_seconds": 9.6, "ledger": sums, "schedule": [came]}])
    assert made.startswith("before\n<!-- chaos -->\n")
    assert made.endswith("<!-- end of chaos -->\nafter\n")
    assert "old" not in made
    assert "| 1.0 | 2.0 | kill -9 a broker | broker 2 |" in made

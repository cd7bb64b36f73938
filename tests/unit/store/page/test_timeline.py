"""A run's timeline as it is drawn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from result_store.page.timeline import MOST_LANES, timeline
from result_store.records import RunState
from tests.unit.store.page.made import NOW, ago, entry, record


def test_each_wait_and_each_node_has_a_lane_where_it_was() -> None:
    # Given a run of ten seconds: one until it was taken, one in line, two nodes of which the second runs beside a third
    run = record(
        accepted_at=ago(19),
        begun_at=ago(18),
        finished_at=ago(10),
        timeline=[
            entry(0, "requested"),
            entry(1, "accepted", worker="w"),
            entry(2, "run_started"),
            entry(2, "node_started", node="load", step=1),
            entry(4, "node_finished", node="load", step=1),
            entry(4, "node_started", node="left", step=2),
            entry(4, "node_started", node="right", step=2),
            entry(9, "node_finished", node="right", step=2),
            entry(10, "node_finished", node="left", step=2),
            entry(10, "result", status="success"),
        ],
    )

    drawn = timeline(run, NOW)

    lanes = [(lane.label, *lane.bars[0][:2], lane.took) for lane in drawn.lanes]
    assert lanes == [
        ("until accepted", 0, 100, "1.00 s"),
        ("in line", 100, 100, "1.00 s"),
        ("load", 200, 200, "2.00 s"),
        ("left", 400, 600, "6.00 s"),
        ("right", 400, 500, "5.00 s"),
    ]
    assert drawn.total == "10.0 s"
    assert [row.offset for row in drawn.rows][-1] == "+10.0 s"
    assert drawn.rows[-1].tone == "success"


def test_all_that_a_node_did_is_one_lane_and_attempts_do_not_mix() -> None:
    # Given a node that a dead worker began, and another attempt ended once and began again
    run = record(
        RunState.RUNNING,
        attempt=2,
        timeline=[
            entry(0, "requested"),
            entry(5, "requested", attempt=2),
            entry(6, "node_started", node="n", step=1, attempt=2, worker="b"),
            entry(7, "node_finished", node="n", step=1, attempt=2, worker="b"),
            entry(8, "node_started", node="n", step=3, attempt=1, worker="a"),
            entry(9, "node_finished", node="n", step=1, attempt=1, worker="a"),
        ],
    )

    drawn = timeline(run, NOW)

    lane = drawn.lanes[-1]
    assert (lane.label, lane.times, lane.took) == ("n", 2, "13.0 s")
    assert lane.bars == [(300, 50, "node"), (400, 600, "open")]
    assert drawn.rows[1].title == "Requested again, attempt 2"


def test_nodes_that_are_fanned_out_share_a_bar_and_a_long_timeline_is_told_in_short() -> None:
    # Given a hundred tasks of one node side by side
    begun = [entry(1 + number / 100, "node_started", node="n", step=2) for number in range(100)]
    ended = [entry(9 + number / 100, "node_finished", node="n", step=2) for number in range(100)]
    run = record(finished_at=ago(10), timeline=[entry(0, "requested"), *begun, *ended, entry(10, "result")])

    drawn = timeline(run, NOW)

    assert drawn.lanes[-1]._asdict() == {"label": "n", "bars": [(100, 899, "node")], "times": 100, "took": "8.99 s"}
    assert len(drawn.rows) == 202
    assert [row.title for row in drawn.milestones] == ["Requested", "Result"]


def test_of_tasks_side_by_side_those_that_go_on_have_a_bar_of_their_own() -> None:
    # Given four tasks of one node, every other one of which has not ended
    begun = [entry(2 + number, "node_started", node="n", step=2, worker=str(number)) for number in range(4)]
    ended = [entry(10, "node_finished", node="n", step=2, worker=str(number)) for number in (0, 2)]

    drawn = timeline(record(RunState.RUNNING, timeline=[entry(0, "requested"), *begun, *ended]), NOW)

    assert drawn.lanes[-1].bars == [(100, 400, "node"), (150, 850, "open")]
    assert drawn.lanes[-1].took == "18.0 s"


def test_a_node_without_an_end_in_a_finished_run_is_where_it_broke() -> None:
    run = record(
        RunState.ERROR,
        finished_at=ago(10),
        timeline=[entry(0, "requested"), entry(2, "node_started", node="n"), entry(10, "result", status="error")],
    )

    assert timeline(run, NOW).lanes[-1].bars[0].tone == "failed"


def test_a_run_of_which_nothing_is_known_has_no_picture() -> None:
    drawn = timeline(record(requested_at=None), NOW)

    assert (drawn.lanes, drawn.rows, drawn.total) == ((), (), "–")  # noqa: RUF001


@given(
    st.lists(
        st.tuples(
            st.floats(-1e6, 1e6),
            st.sampled_from(["requested", "accepted", "node_started", "node_finished", "result", "other"]),
            st.sampled_from([None, "a", "b"]),
        ),
        max_size=60,
    ),
    st.sampled_from(RunState),
    st.sampled_from([None, ago(1e5), ago(3), NOW]),
)
def test_whatever_happened_every_lane_lies_within_the_picture(
    happened: list[tuple[float, str, str | None]], state: RunState, accepted: object
) -> None:
    # Messages of several machines, whose clocks differ, come in any order
    entries = [entry(seconds, kind, node=node) for seconds, kind, node in happened]
    run = record(state, timeline=entries, accepted_at=accepted, begun_at=ago(50), finished_at=ago(60))

    drawn = timeline(run, NOW)

    assert len(drawn.lanes) <= MOST_LANES
    assert len(drawn.rows) == len(entries)
    for lane in drawn.lanes:
        assert lane.bars
        for bar in lane.bars:
            assert 0 <= bar.start <= bar.start + bar.width <= 1000.02

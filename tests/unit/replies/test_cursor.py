from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workflow_events.replies.cursor import (
    Clamped,
    advance,
    clamp,
    clamp_all,
    distance,
    earliest,
    from_times,
    is_behind,
    reached,
    reading_from,
)

CURSORS = st.dictionaries(st.integers(0, 4), st.integers(0, 50), max_size=5)


def test_a_partition_that_a_cursor_does_not_name_is_read_from_its_start() -> None:
    assert is_behind({0: 5}, {0: 5, 1: 1})
    assert not is_behind({0: 5}, {0: 5, 1: 0})


def test_a_cursor_is_behind_when_it_is_so_in_one_partition() -> None:
    assert is_behind({0: 4, 1: 9}, {0: 5, 1: 5})
    assert not is_behind({0: 5, 1: 9}, {0: 5, 1: 5})


def test_a_scan_has_reached_its_stop_when_every_partition_has() -> None:
    assert reached({0: 5, 1: 6}, {0: 5, 1: 5})
    assert not reached({0: 5}, {0: 5, 1: 5})
    assert not reached({}, {0: 1})
    assert reached({}, {})


@given(st.lists(CURSORS, min_size=1), st.sets(st.integers(0, 4)))
def test_the_earliest_cursor_serves_all(cursors: list[dict[int, int]], partitions: set[int]) -> None:
    found = earliest(cursors, partitions)
    assert found.keys() == partitions
    for cursor in cursors:
        assert not is_behind(cursor, found)
    for partition, offset in found.items():
        assert any(cursor.get(partition, 0) == offset for cursor in cursors)


def test_the_earliest_of_no_cursors_is_the_start() -> None:
    assert earliest([], [0, 2]) == {0: 0, 2: 0}


def test_distance_counts_records_only_when_the_cursor_is_ahead_everywhere() -> None:
    assert distance({0: 5, 1: 5}, {0: 8, 1: 5}) == 3
    assert distance({0: 5, 1: 5}, {0: 100, 1: 4}) == 0
    assert distance({}, {0: 100}) == 100


def test_positions_never_go_back() -> None:
    positions = {0: 5}
    advance(positions, 0, 3)
    assert positions == {0: 5}
    advance(positions, 1, 1)
    advance(positions, 0, 6)
    assert positions == {0: 6, 1: 1}


@given(CURSORS, CURSORS, CURSORS)
def test_a_clamped_cursor_lies_in_the_log(
    cursor: dict[int, int], first: dict[int, int], length: dict[int, int]
) -> None:
    end = {partition: first.get(partition, 0) + count for partition, count in length.items()}
    clamped = clamp(cursor, first, end)
    assert clamped.start.keys() == end.keys()
    for partition, offset in clamped.start.items():
        assert first.get(partition, 0) <= offset <= end[partition]
        inside = first.get(partition, 0) <= cursor.get(partition, 0) <= end[partition]
        if inside:
            assert offset == cursor.get(partition, 0)
        assert (partition in clamped.rewound) == (cursor.get(partition, 0) > end[partition])


def test_a_cursor_below_the_log_is_said_to_have_lost_records() -> None:
    clamped = clamp({0: 3, 1: 9}, {0: 5, 1: 0}, {0: 10, 1: 9})
    assert clamped.start == {0: 5, 1: 9}
    assert clamped.lost == (0,)
    said = clamped.describe("replies")
    assert said is not None
    assert "'replies'" in said
    assert "retention" in said


def test_a_cursor_at_the_logs_start_has_lost_nothing() -> None:
    assert clamp({0: 4}, {0: 4}, {0: 9}).lost == ()


def test_what_happened_to_the_log_is_said_by_partition() -> None:
    clamped = clamp({0: 1, 1: 1, 2: 50, 3: 8}, dict.fromkeys(range(4), 7), dict.fromkeys(range(4), 9))
    assert clamped.describe("replies") == (
        "the log of 'replies' now starts after the cursor in partition 0, 1 (retention took records; raise the topic's "
        "retention above the longest wait); the log of 'replies' ends before the cursor in partition 2 (the topic was made "
        "anew or truncated); reading it from its start"
    )


def test_a_cursor_beyond_the_log_reads_a_topic_made_anew_from_its_start() -> None:
    clamped = clamp({0: 50}, {0: 0}, {0: 10})
    assert clamped.start == {0: 0}
    assert clamped.rewound == (0,)
    assert "made anew" in (clamped.describe("replies") or "")


def test_a_new_partition_whose_start_retention_has_taken_is_no_loss() -> None:
    assert clamp({}, {0: 7}, {0: 9}).lost == ()
    assert clamp({0: 8}, {0: 7}, {0: 9}).describe("t") is None


def test_a_look_up_by_time_starts_at_what_the_broker_found() -> None:
    found = {0: (12, 1_700_000_000_000), 1: None, 2: (4, -1), 3: (5, 0), 4: (5, -1)}
    ends = dict.fromkeys(range(5), 20)
    assert from_times(found, {0: 2, 1: 2, 2: 2, 3: 2}, ends) == {0: 12, 1: 20, 2: 2, 3: 5, 4: 0}


def test_a_partition_the_broker_did_not_answer_for_starts_at_its_end() -> None:
    assert from_times({}, {0: 0}, {0: 20}) == {0: 20}


def test_one_cursor_beyond_the_log_is_not_hidden_by_another_within_it() -> None:
    clamped = clamp_all([{0: 8}, {0: 50}, {0: 2}], {0: 4}, {0: 10})
    assert clamped.start == {0: 4}
    assert (clamped.lost, clamped.rewound) == ((0,), (0,))
    assert clamp_all([{0: 8}, {0: 50}], {0: 0}, {0: 10}).start == {0: 0}


@given(st.lists(CURSORS, min_size=1, max_size=8), st.integers(1, 7), CURSORS, CURSORS)
def test_cursors_fitted_in_batches_make_the_same_scan_as_all_at_once(
    cursors: list[dict[int, int]], at: int, first: dict[int, int], grown: dict[int, int]
) -> None:
    last = {partition: first.get(partition, 0) + grown.get(partition, 0) for partition in range(5)}
    parts = Clamped({})
    for some in (cursors[:at], cursors[at:]):
        if some:
            parts = parts.joined(clamp_all(some, first, last))
    assert parts == clamp_all(cursors, first, last)


def test_a_scan_for_nobody_would_begin_at_the_start() -> None:
    assert clamp_all([], {0: 4}, {0: 10, 1: 3}).start == {0: 4, 1: 0}


def test_who_waits_in_one_partition_is_behind_only_there() -> None:
    positions = {0: 50, 1: 60}
    assert not is_behind(reading_from({1: 60}, 1, positions), positions)
    assert is_behind(reading_from({1: 59}, 1, positions), positions)
    assert reading_from({0: 1}, None, positions) == {0: 1}
    assert reading_from({}, 1, positions) == {0: 50, 1: 0}


@given(st.lists(CURSORS, min_size=1), CURSORS, CURSORS)
def test_a_scan_for_many_begins_where_the_first_of_them_would(
    cursors: list[dict[int, int]], first: dict[int, int], length: dict[int, int]
) -> None:
    end = {partition: first.get(partition, 0) + count for partition, count in length.items()}
    alone = [clamp(cursor, first, end) for cursor in cursors]
    together = clamp_all(cursors, first, end)
    assert together.start == {partition: min(one.start[partition] for one in alone) for partition in end}
    assert set(together.lost) == {partition for one in alone for partition in one.lost}
    assert set(together.rewound) == {partition for one in alone for partition in one.rewound}


@given(CURSORS, CURSORS)
def test_who_is_not_behind_has_nothing_to_read_between(cursor: dict[int, int], positions: dict[int, int]) -> None:
    assert is_behind(cursor, positions) == (not reached(cursor, positions))
    assert distance(positions, cursor) >= 0
    assert distance(positions, positions) == 0
    assert not is_behind(positions, positions)


@given(CURSORS, st.lists(st.tuples(st.integers(0, 4), st.integers(0, 50))))
def test_positions_end_at_the_furthest_of_what_was_read(start: dict[int, int], read: list[tuple[int, int]]) -> None:
    positions = dict(start)
    for partition, offset in read:
        advance(positions, partition, offset)
    for partition in range(5):
        furthest = max([start.get(partition, 0), *(offset for where, offset in read if where == partition)])
        assert positions.get(partition, 0) == furthest

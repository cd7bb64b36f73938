"""Which message comes next when several partitions are read side by side."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from result_store.time_order import TimeOrder

if TYPE_CHECKING:
    from workflow_events.dead_letters import StoredMessage


@dataclasses.dataclass(frozen=True)
class Stored:
    offset: int
    timestamp: int
    value: bytes | None = b"12345"
    headers: tuple[tuple[str, bytes | None], ...] = ()
    key: bytes | None = None
    topic: str = "topic"
    partition: int = 0


def log(*times: int, first: int = 0) -> list[Stored]:
    return [Stored(first + number, time) for number, time in enumerate(times)]


def taken(found: list[tuple[str, StoredMessage]]) -> list[tuple[str, int]]:
    return [(partition, message.offset) for partition, message in found]


def test_the_earlier_message_comes_first_whatever_partition_it_is_in() -> None:
    order: TimeOrder[str] = TimeOrder()
    order.add("a", log(10, 40, 41))
    order.add("b", log(20, 30, first=7))
    assert taken(order.take(3, ["a", "b"], ())) == [("a", 0), ("b", 7), ("b", 8)]
    assert (order.waiting("a"), order.waiting("b"), order.offset("a"), order.offset("b")) == (2, 0, 1, None)
    assert taken(order.take(9, ["a", "b"], ())) == [("a", 1), ("a", 2)]


def test_nothing_is_taken_past_the_point_where_an_awaited_partition_may_come_next() -> None:
    # Given a partition that has more than was read
    order: TimeOrder[str] = TimeOrder()
    order.add("a", log(10, 50))
    order.add("b", log(20))
    # Then what comes after its last message has to wait
    assert taken(order.take(9, ["a", "b"], {"b"})) == [("a", 0), ("b", 0)]
    assert order.take(9, ["a", "b"], {"b"}) == []
    # When it has come, it goes on
    order.add("b", log(30, first=1))
    assert taken(order.take(9, ["a", "b"], ())) == [("b", 1), ("a", 1)]


def test_partitions_that_are_not_asked_for_keep_what_they_have() -> None:
    order: TimeOrder[str] = TimeOrder()
    order.add("a", log(10))
    order.add("b", log(5))
    assert taken(order.take(9, ["a"], ())) == [("a", 0)]
    assert order.waiting("b") == 1


def test_the_bytes_of_what_waits_are_counted_and_forgotten_with_it() -> None:
    order: TimeOrder[str] = TimeOrder()
    order.add("a", [Stored(0, 1), Stored(1, 2, None), Stored(2, 3)])
    assert order.bytes == 10
    order.take(1, ["a"], ())
    assert order.bytes == 5
    order.clear()
    assert (order.bytes, order.waiting("a"), order.take(9, ["a"], ())) == (0, 0, [])


@given(
    logs=st.lists(st.lists(st.integers(0, 20), max_size=12), min_size=1, max_size=4),
    steps=st.lists(st.tuples(st.integers(1, 5), st.sets(st.integers(0, 3))), max_size=30),
)
def test_each_message_is_given_once_in_the_order_of_its_partition_and_sorted_logs_make_a_sorted_whole(
    logs: list[list[int]], steps: list[tuple[int, set[int]]]
) -> None:
    # Given partitions, of which each step reads some of the awaited ones further
    order: TimeOrder[int] = TimeOrder()
    left = {number: log(*times) for number, times in enumerate(logs)}
    given_: list[tuple[int, StoredMessage]] = []

    def read(partition: int, most: int) -> None:
        order.add(partition, left[partition][:most])
        left[partition] = left[partition][most:]

    for most, read_further in steps:
        for partition in read_further & left.keys():
            read(partition, most)
        given_ += order.take(most, left, {partition for partition, rest in left.items() if rest})
    for partition in left:
        read(partition, 99)
    given_ += order.take(999, left, ())
    # Then nothing is missing, doubled or out of its partition's order
    for partition, times in enumerate(logs):
        assert [message.offset for of, message in given_ if of == partition] == list(range(len(times)))
    assert order.bytes == 0
    # And where the partitions' times do not go back, neither do those of the whole
    if all(times == sorted(times) for times in logs):
        all_times = [message.timestamp for _, message in given_]
        assert all_times == sorted(all_times)

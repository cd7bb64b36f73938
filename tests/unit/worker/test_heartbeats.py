"""Whose heart is to beat when."""

from __future__ import annotations

from langgraph_integration.heartbeats import Heartbeats


def test_each_heart_beats_an_interval_after_it_began_and_then_every_interval() -> None:
    hearts: Heartbeats[str] = Heartbeats(5)
    hearts.begin("a", 0)
    hearts.begin("b", 2)
    assert [hearts.take(now, 10) for now in (4.9, 5, 6, 7, 9, 10, 12)] == [[], ["a"], [], ["b"], [], ["a"], ["b"]]


def test_a_heart_that_ended_beats_no_more() -> None:
    hearts: Heartbeats[str] = Heartbeats(5)
    hearts.begin("a", 0)
    hearts.begin("b", 0)
    hearts.end("a")
    hearts.end("a")
    assert hearts.take(5, 10) == ["b"]
    hearts.end("b")
    assert (hearts.take(10, 10), len(hearts)) == ([], 0)


def test_of_many_that_are_due_at_once_the_longest_due_beat_first_and_none_is_forgotten() -> None:
    hearts: Heartbeats[int] = Heartbeats(5)
    for n in range(5):
        hearts.begin(n, n / 10)
    assert [hearts.take(6, 2), hearts.take(6.1, 2), hearts.take(6.2, 2), hearts.take(6.3, 2)] == [
        [0, 1],
        [2, 3],
        [4],
        [],
    ]
    assert hearts.take(11.1, 10) == [0, 1, 2, 3]


def test_who_waits_for_the_next_beat_misses_none() -> None:
    hearts: Heartbeats[str] = Heartbeats(5)
    assert hearts.wait(0) == 5
    hearts.begin("a", 4)
    assert (hearts.wait(5), hearts.wait(8), hearts.wait(20)) == (4, 1, 0)

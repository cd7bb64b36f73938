"""How far a partition may be committed while its requests end in any order."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from langgraph_integration.commit_floor import CommitFloor


def test_nothing_taken_is_nothing_to_commit() -> None:
    assert CommitFloor().floor is None


def test_the_floor_waits_for_the_lowest() -> None:
    # Given three requests
    floor = CommitFloor()
    assert all(floor.take(offset) for offset in (5, 6, 7))
    # When the later two end, then the floor stays at the first
    floor.end(7)
    floor.end(6)
    assert (floor.floor, floor.held_back, floor.unfinished) == (5, 2, 1)
    # When the first ends, then the floor is past them all
    floor.end(5)
    assert (floor.floor, floor.held_back, floor.unfinished) == (8, 0, 0)


def test_a_repeated_offset_is_not_taken_twice() -> None:
    floor = CommitFloor()
    assert floor.take(3)
    assert not floor.take(3)
    floor.end(3)
    assert not floor.take(3)


def test_what_is_not_open_cannot_end() -> None:
    floor = CommitFloor()
    with pytest.raises(KeyError, match="1"):
        floor.end(1)
    floor.take(1)
    floor.end(1)
    with pytest.raises(KeyError, match="1"):
        floor.end(1)


class FloorMachine(RuleBasedStateMachine):
    """The floor against the plain definition: the lowest open offset, else the one after the last taken."""

    def __init__(self) -> None:
        super().__init__()
        self.floor = CommitFloor()
        self.taken: list[int] = []
        self.open: set[int] = set()

    @rule(gap=st.integers(1, 3))
    def take(self, gap: int) -> None:
        offset = (self.taken[-1] if self.taken else -1) + gap
        assert self.floor.take(offset)
        self.taken.append(offset)
        self.open.add(offset)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def take_again(self, data: st.DataObject) -> None:
        assert not self.floor.take(data.draw(st.sampled_from(self.taken)))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.open)))
        self.open.discard(offset)
        self.floor.end(offset)

    @invariant()
    def floor_is_right(self) -> None:
        expected = min(self.open) if self.open else (self.taken[-1] + 1 if self.taken else None)
        assert self.floor.floor == expected
        assert self.floor.unfinished == len(self.open)
        lowest = expected if expected is not None else 0
        assert self.floor.held_back == sum(offset > lowest for offset in self.taken) - len(self.open - {lowest})


TestFloor = FloorMachine.TestCase


def test_what_is_handed_back_holds_the_floor_and_may_be_taken_once_more() -> None:
    # Given three offsets, of which the first and the last have ended
    floor = CommitFloor()
    for offset in (5, 6, 7):
        assert floor.take(offset)
    floor.end(5)
    floor.end(7)
    # When the open one is handed back
    floor.hand_back(6)
    assert (floor.floor, floor.lowest_handed_back) == (6, 6)
    # Then of all that is fetched again it alone is taken, and once
    assert [floor.take(offset) for offset in (5, 6, 6, 7, 8)] == [False, True, False, False, True]
    assert floor.lowest_handed_back is None
    floor.end(6)
    assert floor.floor == 8


def test_only_what_is_open_can_be_handed_back() -> None:
    floor = CommitFloor()
    floor.take(1)
    floor.end(1)
    for offset in (1, 2):
        with pytest.raises(KeyError, match=str(offset)):
            floor.hand_back(offset)


def test_what_is_passed_over_is_not_taken_and_does_not_hold_the_floor() -> None:
    # Given a floor that is told what was done with before
    floor = CommitFloor()
    floor.pass_over({6, 8}, above=5)
    assert set(floor.ended) == {6, 8}
    # When all is fetched
    assert [floor.take(offset) for offset in (5, 6, 7, 8)] == [True, False, True, False]
    # Then the others alone hold it, and what was passed over is told on
    assert (floor.floor, set(floor.ended)) == (5, {6, 8})
    floor.end(5)
    assert (floor.floor, set(floor.ended)) == (7, {8})
    floor.end(7)
    assert (floor.floor, set(floor.ended)) == (9, set())


def test_in_another_log_under_the_same_name_nothing_is_passed_over() -> None:
    # Given what was done with above offset 5
    floor = CommitFloor()
    floor.pass_over({6, 8}, above=5)
    # When the log begins anew
    assert [floor.take(offset) for offset in range(9)] == [True] * 9
    # Then nothing in it was done
    assert (floor.floor, set(floor.ended)) == (0, set())


@pytest.mark.parametrize("ending, expected", [((), 5), ({6}, 5), ({5}, 7), ({5, 7}, 9)])
def test_the_floor_after_others_have_ended_is_known_before(ending: set[int], expected: int) -> None:
    # Given four offsets, of which one and the last have ended
    floor = CommitFloor()
    for offset in (5, 6, 7, 8):
        floor.take(offset)
    for offset in {6, 8} - set(ending):
        floor.end(offset)
    # Then it says where it would be, and stays
    assert floor.after({*ending}) == expected
    assert floor.floor == 5

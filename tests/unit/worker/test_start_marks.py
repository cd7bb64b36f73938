"""The count of crashes, as it goes from one owner of a partition to the next."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_integration.start_marks import LONGEST_MARKS, StartMarks


def died(marks: StartMarks, *, floor: int = 10, trial: bool = False) -> StartMarks:
    """What the next owner reads after the worker's last commit, and its death."""
    return StartMarks.read(marks.write(floor=floor, held=True, trial=trial), floor=floor)


def gave_back(marks: StartMarks, *, floor: int = 10) -> StartMarks:
    return StartMarks.read(marks.write(floor=floor, held=False, trial=False), floor=floor)


def test_what_was_running_when_the_worker_died_is_charged_and_nothing_else() -> None:
    marks = StartMarks()
    marks.begin(10, on_trial=False)
    marks.begin(12, on_trial=False)
    found = died(marks)
    assert [found.crashes(offset) for offset in (10, 11, 12, 13)] == [1, 0, 1, 0]
    assert found.wary


def test_crashes_add_up_from_owner_to_owner() -> None:
    marks = StartMarks()
    for crashes in range(1, 6):
        marks.begin(10, on_trial=False)
        marks = died(marks)
        assert marks.crashes(10) == crashes


def test_a_partition_that_was_given_back_charges_nobody_and_keeps_the_count() -> None:
    marks = StartMarks()
    marks.begin(10, on_trial=False)
    marks = died(marks)
    marks.begin(10, on_trial=False)
    marks.begin(11, on_trial=False)
    found = gave_back(marks)
    assert [found.crashes(offset) for offset in (10, 11)] == [1, 0]
    assert not found.wary


def test_what_was_handed_back_before_the_death_is_not_charged() -> None:
    marks = StartMarks()
    marks.begin(10, on_trial=False)
    marks.hand_back(10)
    assert died(marks).crashes(10) == 0


def test_an_owner_that_died_idle_leaves_a_warning_to_the_next() -> None:
    found = died(StartMarks())
    assert found.wary
    assert found.crashes(10) == 0


def test_what_is_done_with_is_forgotten() -> None:
    marks = StartMarks()
    marks.begin(10, on_trial=False)
    marks = died(marks)
    marks.begin(10, on_trial=False)
    marks.settle(10)
    assert gave_back(marks).crashes(10) == 0
    assert marks.write(floor=11, held=False, trial=False) == ""


def test_a_worker_that_dies_in_a_trial_charges_the_one_on_trial_alone() -> None:
    marks = StartMarks()
    marks.begin(10, on_trial=False)
    marks.begin(11, on_trial=True)
    found = died(marks, trial=True)
    assert [found.crashes(offset) for offset in (10, 11)] == [0, 1]


def test_a_trial_of_another_partition_charges_nobody_here() -> None:
    marks = StartMarks()
    marks.begin(10, on_trial=False)
    found = died(marks, trial=True)
    assert found.crashes(10) == 0
    assert found.wary


def test_marks_below_the_committed_offset_are_gone() -> None:
    marks = StartMarks()
    marks.begin(10, on_trial=False)
    marks.begin(30, on_trial=False)
    assert json.loads(marks.write(floor=20, held=True, trial=False))["begun"] == [10]


def test_too_many_marks_are_cut_and_those_with_crashes_stay() -> None:
    # Given a worker with very many runs, one of which has crashed another before
    marks = StartMarks()
    marks.begin(5_000, on_trial=False)
    marks = died(marks)
    for offset in range(10, 10_000):
        marks.begin(offset, on_trial=False)
    # When the marks are written
    text = marks.write(floor=10, held=True, trial=False)
    # Then the broker takes them, and the known one is among them
    assert len(text.encode()) <= LONGEST_MARKS
    assert StartMarks.read(text, floor=10).crashes(5_000) == 2


def test_crashes_of_very_many_are_cut_too() -> None:
    marks = StartMarks()
    marks._crashes = {offset: 1 + (offset == 700) for offset in range(10, 3_000)}
    text = marks.write(floor=10, held=True, trial=True)
    assert len(text) <= LONGEST_MARKS
    assert StartMarks.read(text, floor=10).crashes(700) == 2


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps) | st.none())
def test_what_others_wrote_there_is_no_mark(text: str | None) -> None:
    found = StartMarks.read(text, floor=0)
    assert not found.wary
    assert found.crashes(0) == 0


@pytest.mark.parametrize(
    "said",
    [
        {"crashes": [[0], [0, "x"], [0, -1], "x", [[0, 1]]]},
        {"crashes": 7, "held": "yes", "begun": [0]},
        {"held": True, "begun": {"0": 1}},
        {"held": True, "begun": [-1, True, None, "0"]},
    ],
)
def test_marks_that_are_not_well_formed_charge_nobody(said: dict[str, object]) -> None:
    assert StartMarks.read(json.dumps({"marks": 1, **said}), floor=0).crashes(0) == 0


@given(
    floor=st.integers(0, 2**40),
    begun=st.sets(st.integers(0, 500), max_size=40),
    done=st.sets(st.integers(0, 500), max_size=40),
)
def test_exactly_what_is_begun_and_not_done_is_charged(floor: int, begun: set[int], done: set[int]) -> None:
    marks = StartMarks()
    for distance in sorted(begun):
        marks.begin(floor + distance, on_trial=False)
    for distance in sorted(done):
        marks.settle(floor + distance)
    found = died(marks, floor=floor)
    assert {distance for distance in range(501) if found.crashes(floor + distance)} == begun - done


def test_what_is_finished_above_the_floor_goes_to_the_next_owner_and_is_charged_to_nobody() -> None:
    # Given three runs, of which one has its result in the transaction that these marks go with
    marks = StartMarks()
    for offset in (10, 11, 12):
        marks.begin(offset, on_trial=offset == 11)
    # When the worker dies
    found = StartMarks.read(marks.write(floor=10, held=True, trial=True, finished={11, 14}), floor=10)
    # Then the next one passes over what is finished, and charges none of it
    assert found.finished == {11, 14}
    assert found.crashes(11) == 0
    # And so it is told where the partition was given back, or no crashes are counted
    assert gave_back(marks).finished == frozenset()
    said = marks.write(floor=10, held=False, trial=False, finished={11})
    assert StartMarks.read(said, floor=10).finished == {11}


def test_finished_offsets_leave_room_for_the_marks() -> None:
    marks = StartMarks()
    for offset in range(0, 4000, 3):
        marks.begin(offset, on_trial=False)
    text = marks.write(floor=0, held=True, trial=False, finished=range(1, 20_000, 3))
    assert len(text) <= LONGEST_MARKS
    found = StartMarks.read(text, floor=0)
    assert found.finished == set(range(1, 12_000, 3))
    assert found.crashes(0) == 1

"""What each state is called on the page, what it means, and in which order they stand. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from result_store.records import PHASES, Phase, RunState

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["IN_FLIGHT", "MEANINGS", "ORDER", "Segment", "finished_share", "segments"]

ORDER: Final = (
    RunState.SUCCESS,
    RunState.FAILURE,
    RunState.ERROR,
    RunState.INTERRUPTED,
    RunState.CANCELLED,
    RunState.RUNNING,
    RunState.ACCEPTED,
    RunState.PENDING,
)
"""From what is done to what waits: the order of a progress bar's parts."""

IN_FLIGHT: Final = (RunState.RUNNING, RunState.ACCEPTED, RunState.PENDING)

MEANINGS: Final[dict[RunState, str]] = {
    RunState.PENDING: "published, and taken by no worker yet",
    RunState.ACCEPTED: "a worker has taken it; it waits for its turn",
    RunState.RUNNING: "the graph runs",
    RunState.SUCCESS: "the graph has answered",
    RunState.FAILURE: "the graph ran and said no",
    RunState.ERROR: "it broke",
    RunState.INTERRUPTED: "the graph waits for a person",
    RunState.CANCELLED: "its requester stopped it",
}


class Segment(NamedTuple):
    """A part of a bar. ``start`` and ``width`` are thousandths of the bar."""

    state: RunState
    number: int
    start: float
    width: float


def segments(by_state: Mapping[RunState, int]) -> list[Segment]:
    """The parts of a batch's bar, in order; empty for an empty batch."""
    total = sum(by_state.values())
    found: list[Segment] = []
    before = 0
    for state in ORDER:
        number = by_state.get(state, 0)
        if number:
            found.append(Segment(state, number, 1000 * before / total, 1000 * number / total))
            before += number
    return found


def finished_share(by_state: Mapping[RunState, int]) -> float:
    """Which share of a batch has come to an end, whatever end; 0 for an empty batch."""
    total = sum(by_state.values())
    done = sum(number for state, number in by_state.items() if PHASES[state] is Phase.FINISHED)
    return done / total if total else 0.0

"""Ratios, ranks and sums over a run's steps, the same for every database. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from result_store.records import PHASES, Phase, RunState

if TYPE_CHECKING:
    from result_store.analytics.answers import StepSummary

__all__ = [
    "GOING_ON",
    "StepRow",
    "Totals",
    "elimination_ratio",
    "failure_rate",
    "most_failing",
    "nearest_rank",
    "outcome_failure_rate",
    "slowest",
    "superstep_of",
    "totals_of",
]

_Number = TypeVar("_Number", int, float)

GOING_ON: Final = tuple(state for state, phase in PHASES.items() if phase is not Phase.FINISHED)
"""Where a run stands that has not ended; one may have a result all the same, of an attempt before the one that goes on."""
_BROKEN: Final = (RunState.FAILURE, RunState.ERROR)


def elimination_ratio(taken_in: int | None, given_out: int | None) -> float | None:
    """The share that did not come out, ``1 - output / input``; None where nothing went in, or one of them is not known.

    It is negative where more came out than went in.
    """
    if not taken_in or given_out is None:
        return None
    return 1 - given_out / taken_in


def failure_rate(failures: int, runs: int) -> float:
    """The share that failed; 0 of none."""
    return failures / runs if runs else 0.0


def outcome_failure_rate(by_state: Mapping[RunState, int]) -> float | None:
    """Failures and errors among the runs that came to an answer of their own; None where there is none.

    A run that was cancelled, or waits for a human, says nothing of how well the workflow works.
    """
    broken = sum(by_state.get(state, 0) for state in _BROKEN)
    answered = broken + by_state.get(RunState.SUCCESS, 0)
    return broken / answered if answered else None


def nearest_rank(count: int, percent: int) -> int:
    """Which of so many sorted values, counted from 1, is this percentile by nearest rank; 0 of none.

    It is the least value that ``percent`` of a hundred do not exceed. In whole numbers, for then every database agrees; the SQL
    is made by this function too.
    """
    return (count * percent + 99) // 100


class StepRow(NamedTuple):
    """What a run's totals need of one of its steps."""

    step_key: str
    name: str
    at: datetime
    failed: bool
    told: bool
    """Whether it was heard to end, or said anything of itself; else only its failure is known."""
    input_count: int | None
    output_count: int | None
    tokens: int | None
    cost: float | None

    @property
    def superstep(self) -> int | None:
        """LangGraph's superstep; None where it is not known."""
        return superstep_of(self.step_key, self.name)


class Totals(NamedTuple):
    """A run's steps in sum."""

    steps: int
    input: int | None
    output: int | None
    tokens: int | None
    cost: float | None


def superstep_of(step_key: str, name: str) -> int | None:
    """The superstep in a step's key, which is ``name#superstep``, or ``name`` where it is not known.

    A ``#`` of the name's own is doubled there (:mod:`result_store.step_rows`).
    """
    digits = step_key[len(name) + name.count("#") + 1 :]
    return int(digits) if digits.isascii() and digits.isdecimal() else None


def totals_of(steps: Collection[StepRow]) -> Totals:
    """What a run's steps had in sum.

    Its input is that of its first step and of those beside it, in the same superstep of the same graph; its output that of its
    last and of those beside that. Steps that tell no count are passed over: they neither sift nor make items.
    """
    return Totals(
        steps=_how_many(steps),
        input=_beside(steps, lambda step: step.input_count, last=False),
        output=_beside(steps, lambda step: step.output_count, last=True),
        tokens=_sum(step.tokens for step in steps),
        cost=_sum(step.cost for step in steps),
    )


def slowest(summaries: Iterable[StepSummary], limit: int) -> list[StepSummary]:
    """Those with the highest 95th percentile; of equal ones by name."""
    measured = [(one.duration.p95, one) for one in summaries if one.duration.p95 is not None]
    measured.sort(key=lambda each: (-each[0], each[1].workflow_id, each[1].name))
    return [one for _, one in measured[:limit]]


def most_failing(summaries: Iterable[StepSummary], limit: int) -> list[StepSummary]:
    """Those that broke most runs, then the greater share of them; of equal ones by name."""
    failing = [one for one in summaries if one.failures]
    return sorted(failing, key=lambda one: (-one.failures, -one.failure_rate, one.workflow_id, one.name))[:limit]


def _how_many(steps: Collection[StepRow]) -> int:
    """Failures of which no superstep is known belong to a step that is there, where one of the name is."""
    told = {step.name for step in steps if step.told}
    return sum(step.told or step.name not in told for step in steps)


def _beside(steps: Collection[StepRow], count: Callable[[StepRow], int | None], *, last: bool) -> int | None:
    telling = [step for step in steps if count(step) is not None]
    if not telling:
        return None

    def in_time(step: StepRow) -> tuple[datetime, int, str]:
        return step.at, -1 if step.superstep is None else step.superstep, step.step_key

    chosen = max(telling, key=in_time) if last else min(telling, key=in_time)
    beside = [step for step in telling if step is chosen or _same_superstep(step, chosen)]
    return sum(count(step) or 0 for step in beside)


def _same_superstep(one: StepRow, other: StepRow) -> bool:
    return one.superstep is not None and one.superstep == other.superstep and _graph(one.name) == _graph(other.name)


def _graph(name: str) -> str:
    """The subgraph that a node lies in: its path is ``outer|inner``, and each graph counts its own supersteps."""
    return name.rpartition("|")[0]


def _sum(values: Iterable[_Number | None]) -> _Number | None:
    known = [value for value in values if value is not None]
    return sum(known[1:], start=known[0]) if known else None

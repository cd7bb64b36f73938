"""How a figure is taken: the two sides in turn, several times, and the ratio pair by pair.

A shared machine drifts; a ratio of two neighbours in time does not. The median is the figure, minimum and maximum say how
far to trust it.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

__all__ = ["Figure", "Point", "compare", "tell_progress", "watching"]

Watch = Callable[[str, int, int], None]
"""Told what is measured, how many rounds of it are done, and of how many."""

_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@dataclass(frozen=True, slots=True)
class Point:
    """Where a figure lies on a curve.

    Attributes:
        curve: what is counted along the horizontal axis, such as ``"waiters"``.
        x: how many of them.
        measure: what is measured there, such as ``"CPU"``.
    """

    curve: str
    x: float
    measure: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the report.

    Attributes:
        ours, baseline: the measured values in run order, in ``unit``.
        target: what the median ratio is to be, such as ``">= 0.90"``; empty where nothing was promised.
        note: what to know when reading the row.
        point: set where the figure is one of a curve's.
    """

    name: str
    broker: str
    ours: list[float]
    baseline: list[float]
    baseline_name: str
    unit: str
    target: str = ""
    note: str = ""
    point: Point | None = None
    ratios: list[float] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratios", [ours / base for ours, base in zip(self.ours, self.baseline, strict=True)])

    @property
    def ratio(self) -> float:
        """The median of the pairs' ratios."""
        return statistics.median(self.ratios)

    @property
    def holds(self) -> bool | None:
        """Whether the median meets the target; None where there is none."""
        if not self.target:
            return None
        relation, limit = self.target.split()
        return self.ratio >= float(limit) if relation == ">=" else self.ratio <= float(limit)


async def compare(
    name: str,
    broker: str,
    ours: Callable[[], Awaitable[float]],
    baseline: Callable[[], Awaitable[float]],
    *,
    runs: int,
    baseline_name: str,
    unit: str,
    target: str = "",
    note: str = "",
) -> Figure:
    """Measure both sides ``runs`` times in turn, after one uncounted round."""
    values: tuple[list[float], list[float]] = ([], [])
    for counted in range(-1, runs):
        tell_progress(name, counted + 1, runs + 1)
        # Who goes first changes, so that neither always finds the caches warm.
        for side in (0, 1) if counted % 2 else (1, 0):
            gc.collect()
            value = await (ours if side == 0 else baseline)()
            if counted >= 0:
                values[side].append(value)
    return Figure(name, broker, values[0], values[1], baseline_name, unit, target, note)


def tell_progress(what: str, done: int, of: int) -> None:
    """Say how far the measuring of one thing is, to who is watching."""
    watch = _watch.get()
    if watch is not None:
        watch(what, done, of)


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Have ``watch`` called with the progress of what is measured in the block, and in event loops begun there."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)

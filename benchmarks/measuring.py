"""How a figure is taken: the two sides in turn, several times, and the ratio pair by pair.

A shared machine drifts; a ratio of two neighbours in time does not. The median is the figure, minimum and maximum say how
far to trust it.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

__all__ = ["Figure", "compare"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the report.

    Attributes:
        ours, baseline: the measured values in run order, in ``unit``.
        target: what the median ratio is to be, such as ``">= 0.90"``; empty where nothing was promised.
        note: what to know when reading the row.
    """

    name: str
    broker: str
    ours: list[float]
    baseline: list[float]
    baseline_name: str
    unit: str
    target: str = ""
    note: str = ""
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
        # Who goes first changes, so that neither always finds the caches warm.
        for side in (0, 1) if counted % 2 else (1, 0):
            gc.collect()
            value = await (ours if side == 0 else baseline)()
            if counted >= 0:
                values[side].append(value)
    return Figure(name, broker, values[0], values[1], baseline_name, unit, target, note)

"""What the pictures show: medians along each curve, with the lowest and the highest run, for each broker and contestant."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.measuring import Figure
    from benchmarks.results import Results

__all__ = ["ONE_EACH", "OURS", "RAW", "Series", "all_series", "curves_in", "fingerprint", "measures_in"]

OURS = "one reader for all"
RAW = "raw scan of the same messages"
ONE_EACH = "a consumer for each waiter"
"""Who is compared, as curves, tables and pictures call them."""


@dataclass(slots=True)
class Series:
    """One line of a picture.

    Attributes:
        who: :data:`OURS`, or the baseline's name.
        x, y, low, high: by point: where it lies, and the median, the lowest and the highest run there.
    """

    curve: str
    measure: str
    unit: str
    broker: str
    who: str
    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def add(self, x: float, runs: list[float]) -> None:
        """Append a point, unless it is there."""
        if x not in self.x:
            self.x.append(x)
            self.y.append(median(runs))
            self.low.append(min(runs))
            self.high.append(max(runs))


def all_series(results: Results) -> list[Series]:
    """Every line of every picture, in the order of the report."""
    lines: dict[tuple[str, ...], Series] = {}
    for figure, curve, measure, x in _points(results):
        for who, runs in ((OURS, figure.ours), (figure.baseline_name, figure.baseline)):
            key = (curve, measure, figure.unit, figure.broker, who)
            lines.setdefault(key, Series(*key)).add(x, runs)
    return list(lines.values())


def curves_in(lines: list[Series]) -> list[str]:
    """The names of the curves."""
    return list(dict.fromkeys(line.curve for line in lines))


def measures_in(lines: list[Series]) -> dict[str, list[Series]]:
    """The lines by what they measure; the label says the unit."""
    labelled = {f"{line.measure}, {line.unit}" if line.unit != "count" else line.measure: line for line in lines}
    return {label: [line for line in lines if line.measure == one.measure] for label, one in labelled.items()}


def fingerprint(results: Results) -> str:
    """Changes whenever a picture would."""
    shown = json.dumps([asdict(line) for line in all_series(results)], sort_keys=True)
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def _points(results: Results) -> Iterator[tuple[Figure, str, str, float]]:
    for one in results.measured:
        if one.figure.point is not None:
            point = one.figure.point
            yield one.figure, point.curve, point.measure, point.x

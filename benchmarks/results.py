"""The figures as a JSON document, gathered over several sessions.

A full measurement takes long, so its parts may be taken at different times. Every figure names the session that it is of, and
the session holds what was the same for all of its figures: date, commit, machine, versions, runs, scale. A suite that is measured
again on a broker replaces what it said of that broker before, as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Self

from benchmarks.measuring import Figure, Point
from benchmarks.suites import SUITE

__all__ = ["Measured", "Results"]

_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure, the suite that it is of, and the session in which it was taken."""

    suite: str
    session: str
    figure: Figure


class Results:
    """All that has been measured.

    Attributes:
        sessions: by name, what was the same for all figures of one session.
        measured: the figures, suite by suite and broker by broker.
    """

    def __init__(self, sessions: dict[str, dict[str, Any]] | None = None, measured: Iterable[Measured] = ()) -> None:
        self.sessions = sessions or {}
        self.measured = list(measured)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a document; one that is not there is empty.

        Raises:
            ValueError: what is there is something else.
        """
        if not path.exists():
            return cls()
        document = json.loads(path.read_text(encoding="utf-8"))
        if not {"sessions", "figures"} <= set(document):
            raise ValueError(f"{path} does not hold figures by sessions, as these benchmarks write them; move it away")
        return cls(document["sessions"], [_from_json(row) for row in document["figures"]])

    def save(self, path: Path) -> None:
        """Write the document, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {"sessions": self.sessions, "figures": [_to_json(one) for one in self.measured]}
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        unfinished.replace(path)

    def put(self, suite: str, broker: str, session: str, about: dict[str, Any], figures: Iterable[Figure]) -> None:
        """Enter what a suite has measured on a broker, in place of what is there of both."""
        self.measured = [one for one in self.measured if (one.suite, one.figure.broker) != (suite, broker)]
        self.measured += [Measured(suite, session, figure) for figure in figures]
        self.measured.sort(key=lambda one: (SUITE.index(one.suite), one.figure.broker))
        named = {one.session for one in self.measured}
        self.sessions = {name: one for name, one in {**self.sessions, session: about}.items() if name in named}

    def take(self, other: Results) -> None:
        """Enter everything that another document holds, in place of what is there of the same suites and brokers."""
        for suite, broker, session in dict.fromkeys(
            (one.suite, one.figure.broker, one.session) for one in other.measured
        ):
            figures = [one.figure for one in other.of(suite) if one.figure.broker == broker]
            self.put(suite, broker, session, other.sessions[session], figures)

    def of(self, suite: str) -> list[Measured]:
        """The figures of one suite."""
        return [one for one in self.measured if one.suite == suite]


def _to_json(measured: Measured) -> dict[str, Any]:
    figure = measured.figure
    return {
        "suite": measured.suite,
        "session": measured.session,
        "name": figure.name,
        "broker": figure.broker,
        "unit": figure.unit,
        "ours": [_rounded(value) for value in figure.ours],
        "ours_median": _rounded(median(figure.ours)),
        "baseline": [_rounded(value) for value in figure.baseline],
        "baseline_median": _rounded(median(figure.baseline)),
        "baseline_name": figure.baseline_name,
        "ratio": _rounded(figure.ratio),
        "ratio_min": _rounded(min(figure.ratios)),
        "ratio_max": _rounded(max(figure.ratios)),
        "target": figure.target,
        "holds": figure.holds,
        "note": figure.note,
        **({"point": asdict(figure.point)} if figure.point else {}),
    }


def _from_json(row: dict[str, Any]) -> Measured:
    plain = ("name", "broker", "ours", "baseline", "baseline_name", "unit", "target", "note")
    point = Point(**row["point"]) if "point" in row else None
    return Measured(row["suite"], row["session"], Figure(**{name: row[name] for name in plain}, point=point))


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")

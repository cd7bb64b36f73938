"""What a processor in a process of its own tells the process that watches over it: how it is, and what it has counted.

It says so once a second, in a line of JSON (:class:`Report`). Counts travel as the calls that :class:`StoreMetrics` got, added up
where they can be, so that they are counted in one place, and served at one port, however many processes store.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from result_store.metrics import StoreMetrics

if TYPE_CHECKING:
    from result_store.metrics import CacheOutcome

__all__ = ["Counts", "Report", "TellingMetrics"]


@dataclass(frozen=True, slots=True)
class Counts:
    """What has happened since the last report.

    Attributes:
        taken: messages that were stored: ``[topic, kind, count]``.
        refused: invalid ones: ``[topic, error type, count]``.
        cached: questions to the cache: ``[outcome, count]``.
        saved: batches: ``[seconds, messages, changed rows]``.
        lag: of partitions: ``[topic, number, messages]``; null for one that went elsewhere.
    """

    taken: list[list[Any]] = field(default_factory=list)
    refused: list[list[Any]] = field(default_factory=list)
    cached: list[list[Any]] = field(default_factory=list)
    saved: list[list[Any]] = field(default_factory=list)
    lag: list[list[Any]] = field(default_factory=list)

    def count_into(self, metrics: StoreMetrics) -> None:
        """Count there what is told here."""
        for topic, kind, count in self.taken:
            metrics.taken(topic, kind, count)
        for topic, error_type, count in self.refused:
            metrics.refused(topic, error_type, count)
        for outcome, count in self.cached:
            metrics.cached(outcome, count)
        for seconds, messages, changed in self.saved:
            metrics.saved(seconds, messages, changed)
        for topic, partition, messages in self.lag:
            if messages is None:
                metrics.gone(topic, partition)
            else:
                metrics.behind(topic, partition, messages)


@dataclass(frozen=True, slots=True)
class Report:
    """A line of what is told.

    Attributes:
        built: whether all of the process's parts are there.
        unwell: why it is not at work; None where it is.
        failed: why it ends, where it does so by itself.
    """

    built: bool = False
    unwell: str | None = None
    failed: str | None = None
    counts: Counts = field(default_factory=Counts)

    def to_line(self) -> bytes:
        """As it is sent: JSON that ends with a line feed."""
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> Self:
        """As it was sent."""
        told = json.loads(line)
        return cls(**{**told, "counts": Counts(**told["counts"])})


class TellingMetrics(StoreMetrics):
    """Keeps what is counted until it is told."""

    def __init__(self) -> None:
        super().__init__()
        self._taken: Counter[tuple[str, str]] = Counter()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._asked: Counter[CacheOutcome] = Counter()
        self._saved: list[list[Any]] = []
        self._lags: dict[tuple[str, int], int | None] = {}

    def taken(self, topic: str, kind: str, count: int = 1) -> None:
        """As :meth:`StoreMetrics.taken`, to be told."""
        self._taken[topic, kind] += count

    def refused(self, topic: str, error_type: str, count: int = 1) -> None:
        """As :meth:`StoreMetrics.refused`, to be told."""
        self._refused[topic, error_type] += count

    def cached(self, outcome: CacheOutcome, count: int = 1) -> None:
        """As :meth:`StoreMetrics.cached`, to be told."""
        self._asked[outcome] += count

    def saved(self, seconds: float, messages: int, changed: int) -> None:
        """As :meth:`StoreMetrics.saved`, to be told."""
        self._saved.append([seconds, messages, changed])

    def behind(self, topic: str, partition: int, messages: int) -> None:
        """As :meth:`StoreMetrics.behind`, to be told."""
        self._lags[topic, partition] = messages

    def gone(self, topic: str, partition: int) -> None:
        """As :meth:`StoreMetrics.gone`, to be told."""
        self._lags[topic, partition] = None

    def take(self) -> Counts:
        """What is to be told, once."""
        counts = Counts(
            taken=[[*what, count] for what, count in self._taken.items()],
            refused=[[*what, count] for what, count in self._refused.items()],
            cached=[[outcome, count] for outcome, count in self._asked.items()],
            saved=self._saved,
            lag=[[*partition, messages] for partition, messages in self._lags.items()],
        )
        for kept in (self._taken, self._refused, self._asked, self._lags):
            kept.clear()
        self._saved = []
        return counts

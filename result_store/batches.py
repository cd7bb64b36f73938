"""What is stored together: messages until there are enough of them, and how far that is in each partition. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from result_store.facts import RequestFact, ResultFact
from result_store.reading import kind_of

if TYPE_CHECKING:
    from result_store.facts import Fact
    from workflow_events.dead_letters import StoredMessage

__all__ = ["MOST_BYTES", "Batch", "Taken"]

MOST_BYTES: Final = 67_108_864
"""The most bytes that are stored together, payloads in the claim check's store counted in; a single message may have more."""

_Partition = TypeVar("_Partition", bound=Hashable)


class Taken(NamedTuple):
    """A message, and what it says."""

    record: StoredMessage
    fact: Fact


@dataclass(slots=True)
class Batch(Generic[_Partition]):
    """Messages that are stored together.

    Attributes:
        most: how many they may be.
        taken: those that say something, in the order in which they came.
        starts: the offset of the first message of each partition.
        ends: the offset behind the last one.
        since: when its first message came, in seconds of the caller's clock; None while it is empty.
        kinds: how many there are by topic and :func:`~result_store.reading.kind_of`.
    """

    most: int
    taken: list[Taken] = field(default_factory=list)
    starts: dict[_Partition, int] = field(default_factory=dict)
    ends: dict[_Partition, int] = field(default_factory=dict)
    since: float | None = None
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    _messages: int = 0
    _bytes: int = 0

    def __len__(self) -> int:
        return self._messages

    def add(self, partition: _Partition, record: StoredMessage, fact: Fact | None, *, now: float) -> None:
        """Take a message in.

        Args:
            fact: what it says; None: nothing, and only its place counts.
            now: the clock, in seconds.
        """
        self.since = now if self.since is None else self.since
        self.starts.setdefault(partition, record.offset)
        self.ends[partition] = record.offset + 1
        self.kinds[record.topic, kind_of(fact)] += 1
        self._messages += 1
        if fact is None:
            return
        self.taken.append(Taken(record, fact))
        self._bytes += len(record.value or b"")
        if isinstance(fact, RequestFact | ResultFact) and fact.event.claim_check is not None:
            self._bytes += fact.event.claim_check.size

    def reach(self, partition: _Partition, position: int | None) -> None:
        """Take in what is no message behind the last one, such as a transaction's markers.

        Args:
            position: the offset that is read next; None where it is not known.
        """
        if position is not None and position > self.ends.get(partition, position):
            self.ends[partition] = position

    @property
    def room(self) -> int:
        """How many more it takes; none where it has bytes enough."""
        return 0 if self._bytes >= MOST_BYTES else max(0, self.most - self._messages)

    def is_due(self, now: float, interval: float) -> bool:
        """Whether its first message has waited for ``interval`` seconds."""
        return self.since is not None and now - self.since >= interval

"""What was read lately, so that a waiter who comes a little late need not read it again.

In Airflow a request is published by one process and its waiter appears in another, a second or more later: most waiters are a
little behind the reader. The window holds the last records, bounded in bytes, as the batches that the client gave; they
are indexed by correlation id only when somebody asks, so that a reader nobody is behind pays nothing per record.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workflow_events.wire import find_correlation_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workflow_events.replies.cursor import Cursor
    from workflow_events.replies.records import Record

__all__ = ["RecentRecords"]

_RECORD_OVERHEAD = 512
"""Bytes that a record costs beside its value: object, headers, key, index entry. An estimate, so that the bound is honest for
small records."""


@dataclass(slots=True)
class _Batch:
    partition: int
    records: Sequence[Record]
    size: int
    indexed: bool = False


class RecentRecords:
    """The last records of one topic, contiguous in every partition.

    Args:
        max_bytes: bound on what is held; the oldest batch goes first.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.size = 0
        self._batches: deque[_Batch] = deque()
        self._unindexed: deque[_Batch] = deque()
        self._index: dict[bytes, list[Record]] = {}
        self._first: dict[int, int] = {}

    def start_at(self, positions: Cursor) -> None:
        """Forget everything; what is appended next follows on ``positions``."""
        self.size = 0
        self._batches.clear()
        self._unindexed.clear()
        self._index.clear()
        self._first = dict(positions)

    def append(self, partition: int, records: Sequence[Record]) -> None:
        """Add the next records of a partition, in order, with no gap to those before."""
        size = sum(len(record.value or b"") for record in records) + _RECORD_OVERHEAD * len(records)
        batch = _Batch(partition, records, size)
        self._first.setdefault(partition, records[0].offset)
        self._batches.append(batch)
        self._unindexed.append(batch)
        self.size += size
        while self.size > self.max_bytes and self._batches:
            self._evict()

    def covers(self, cursor: Cursor) -> bool:
        """Whether every record from ``cursor`` on, up to what was appended last, is held."""
        return all(cursor.get(partition, 0) >= first for partition, first in self._first.items())

    def find(self, key: bytes) -> list[Record]:
        """The held records with this correlation key, oldest first within a partition."""
        while self._unindexed:
            batch = self._unindexed.popleft()
            batch.indexed = True
            for record in batch.records:
                found = find_correlation_key(record.headers, record.value)
                if found is not None:
                    self._index.setdefault(found, []).append(record)
        return list(self._index.get(key, ()))

    def _evict(self) -> None:
        batch = self._batches.popleft()
        self.size -= batch.size
        self._first[batch.partition] = batch.records[-1].offset + 1
        if not batch.indexed:
            # Batches are indexed in the order in which they came, so an unindexed one that is oldest is first there too.
            self._unindexed.popleft()
            return
        for record in batch.records:
            found = find_correlation_key(record.headers, record.value)
            if found is None:
                continue
            held = self._index.get(found, [])
            if held and held[0] is record:
                del held[0]
            if not held:
                self._index.pop(found, None)

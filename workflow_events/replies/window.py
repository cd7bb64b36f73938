"""What was read lately, so that a waiter who comes a little late need not read it again.

In Airflow a request is published by one process and its waiter appears in another, a second or more later: most waiters are a
little behind the reader. The window holds the last records, bounded in bytes; they are indexed by correlation id only when
somebody asks, so that a reader nobody is behind pays next to nothing per record.

Of a record only bytes and numbers are kept. A client's record with its headers is a dozen objects, and with a window full of them
the garbage collector's full passes, in which the process stands still, take longer.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from workflow_events.wire import correlation_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workflow_events.replies.cursor import Cursor
    from workflow_events.replies.records import Record
    from workflow_events.wire import Headers

__all__ = ["HeldRecord", "RecentRecords"]

_RECORD_OVERHEAD = 320
"""Bytes that a record costs beside its value: key, offset, index entry. An estimate, so that the bound is honest for small
records."""


class HeldRecord(NamedTuple):
    """A record as the window gives it back. Its headers are gone, unless they were to be kept: it was found by its key."""

    partition: int
    offset: int
    value: bytes | None
    headers: Headers = ()


@dataclass(slots=True)
class _Batch:
    partition: int
    serial: int
    keys: Sequence[bytes | None]
    offsets: list[int]
    values: list[bytes | None]
    size: int
    headers: list[Headers] | None = None
    indexed: bool = False


class RecentRecords:
    """The last records of one topic, contiguous in every partition.

    Args:
        max_bytes: bound on what is held; the oldest batch goes first.
        keep_headers: whether signatures will be asked for.
    """

    def __init__(self, max_bytes: int, *, keep_headers: bool = False) -> None:
        self.max_bytes = max_bytes
        self.keep_headers = keep_headers
        self.size = 0
        self._batches: deque[_Batch] = deque()
        self._unindexed: deque[_Batch] = deque()
        # Records are numbered as they come. Under a key stands its record's number, or a list where there are several.
        self._serials: deque[int] = deque()
        self._next_serial = 0
        self._index: dict[bytes, int | list[int]] = {}
        self._first: dict[int, int] = {}

    def start_at(self, positions: Cursor) -> None:
        """Forget everything; what is appended next follows on ``positions``."""
        self.size = 0
        self._batches.clear()
        self._unindexed.clear()
        self._serials.clear()
        self._index.clear()
        self._first = dict(positions)

    def append(self, partition: int, records: Sequence[Record], keys: Sequence[bytes | None] | None = None) -> None:
        """Add the next records of a partition, in order, with no gap to those before.

        Args:
            keys: the records' correlation keys, where the caller has looked for them already.
        """
        values = [record.value for record in records]
        batch = _Batch(
            partition,
            self._next_serial,
            correlation_keys(records) if keys is None else keys,
            [record.offset for record in records],
            values,
            sum([len(value) for value in values if value is not None]) + _RECORD_OVERHEAD * len(values),
        )
        if self.keep_headers:
            batch.headers = [record.headers for record in records]
            batch.size += sum([len(value) for of in batch.headers for _, value in of if value is not None])
        self._first.setdefault(partition, batch.offsets[0])
        self._next_serial += len(values)
        self._batches.append(batch)
        self._serials.append(batch.serial)
        self._unindexed.append(batch)
        self.size += batch.size
        while self.size > self.max_bytes and self._batches:
            self._evict()

    def covers(self, cursor: Cursor) -> bool:
        """Whether every record from ``cursor`` on, up to what was appended last, is held."""
        return all(cursor.get(partition, 0) >= first for partition, first in self._first.items())

    def find(self, key: bytes) -> list[HeldRecord]:
        """The held records with this correlation key, oldest first within a partition."""
        while self._unindexed:
            self._add_to_index(self._unindexed.popleft())
        found = self._index.get(key)
        if found is None:
            return []
        return [self._held(serial) for serial in (found if isinstance(found, list) else (found,))]

    def _held(self, serial: int) -> HeldRecord:
        batch = self._batches[bisect_right(self._serials, serial) - 1]
        at = serial - batch.serial
        headers = () if batch.headers is None else batch.headers[at]
        return HeldRecord(batch.partition, batch.offsets[at], batch.values[at], headers)

    def _add_to_index(self, batch: _Batch) -> None:
        batch.indexed = True
        index = self._index
        for serial, key in enumerate(batch.keys, start=batch.serial):
            if key is None:
                continue
            other = index.setdefault(key, serial)
            if isinstance(other, list):
                other.append(serial)
            elif other != serial:
                index[key] = [other, serial]

    def _evict(self) -> None:
        batch = self._batches.popleft()
        self._serials.popleft()
        self.size -= batch.size
        self._first[batch.partition] = batch.offsets[-1] + 1
        if not batch.indexed:
            # Batches are indexed in the order in which they came, so an unindexed one that is oldest is first there too.
            self._unindexed.popleft()
            return
        for key in batch.keys:
            # The oldest record of a key goes first, so what is taken from the index is always its first.
            if key is None:
                continue
            held = self._index[key]
            if isinstance(held, list):
                del held[0]
                if not held:
                    del self._index[key]
            else:
                del self._index[key]

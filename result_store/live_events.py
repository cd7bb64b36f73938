"""What the live feed keeps in memory: announcements, the last of them, and what waits for each client. No I/O."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import ValidationError

from result_store.announcing import RESULT_STORED
from result_store.records import StoredEvent
from workflow_events.errors import InvalidEventError
from workflow_events.replies.cursor import advance
from workflow_events.wire import decode_event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from workflow_events.replies.cursor import Cursor
    from workflow_events.replies.records import Record
    from workflow_events.signing import Signatures

__all__ = ["Memory", "Reader", "StoredRecord", "Watch"]

_STORED_TYPES: Final = frozenset({RESULT_STORED.encode()})


class StoredRecord(NamedTuple):
    """An announcement, and where it lies."""

    partition: int
    offset: int
    event: StoredEvent


class Reader:
    """Reads announcements; what is none is passed over.

    Args:
        signatures: only what they admit counts; None: everything does.
        max_bytes: a message above this is not read; None: no limit.
    """

    def __init__(self, signatures: Signatures | None, topic: str, max_bytes: int | None) -> None:
        self._signatures = signatures
        self._topic = topic
        self._max_bytes = max_bytes

    def read(self, records: Sequence[Record]) -> list[StoredRecord]:
        """The announcements among some records."""
        return [found for record in records if (found := self._announcement(record)) is not None]

    def _announcement(self, record: Record) -> StoredRecord | None:
        value = record.value or b""
        if self._max_bytes is not None and len(value) > self._max_bytes:
            return None
        if self._signatures is not None and not self._signatures.admits(record, _STORED_TYPES, topic=self._topic):
            return None
        try:
            event = decode_event(value)
            if event.event_type != RESULT_STORED:
                return None
            return StoredRecord(record.partition, record.offset, StoredEvent.model_validate(event.payload.data))
        except (InvalidEventError, ValidationError):
            return None


class Memory:
    """The last announcements, in the order in which they were read."""

    def __init__(self, most: int) -> None:
        self._records: deque[StoredRecord] = deque()
        self._most = most
        self._from: dict[int, int] = {}

    def begin(self, positions: Cursor) -> None:
        """Forget all; what comes from these positions on will be remembered."""
        self._records.clear()
        self._from = dict(positions)

    def add(self, partition: int, records: Sequence[StoredRecord]) -> None:
        """Remember what comes next in one partition."""
        self._from.setdefault(partition, 0)
        self._records.extend(records)
        while len(self._records) > self._most:
            oldest = self._records.popleft()
            advance(self._from, oldest.partition, oldest.offset + 1)

    def covers(self, cursor: Cursor, stop: Cursor) -> bool:
        """Whether all is remembered between a cursor and ``stop``."""
        return all(
            self._from.get(partition, 0) <= cursor.get(partition, 0) <= offset for partition, offset in stop.items()
        )

    def since(self, cursor: Cursor, stop: Cursor) -> Iterator[StoredRecord]:
        """What lies between."""
        for record in tuple(self._records):
            if cursor.get(record.partition, 0) <= record.offset < stop.get(record.partition, 0):
                yield record


class Watch:
    """One client: what waits for it, and where its stream stands.

    Args:
        most: what may wait; with more, the client is too slow, and its stream ends.
        cursor: where it begins.

    Attributes:
        cursor: all before it has been told, or was not wanted.
        ended: whether the stream is over.
    """

    def __init__(self, most: int, cursor: Cursor) -> None:
        self.cursor = dict(cursor)
        self.ended = False
        self._most = most
        self._waiting: deque[StoredRecord] = deque()
        self._news = asyncio.Event()

    def offer(self, record: StoredRecord) -> None:
        """Have the client told."""
        if len(self._waiting) >= self._most:
            self.end()
        if not self.ended:
            self._waiting.append(record)
            self._news.set()

    def end(self) -> None:
        """Tell the client nothing more, not even what waits: it will ask for that when it comes back."""
        self.ended = True
        self._waiting.clear()
        self._news.set()

    async def news(self) -> AsyncGenerator[StoredRecord]:
        """What is offered, until the end."""
        while not self.ended:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                yield self._waiting.popleft()

    def after(self, record: StoredRecord) -> dict[int, int]:
        """Where the stream stands once the client has a record."""
        cursor = dict(self.cursor)
        advance(cursor, record.partition, record.offset + 1)
        return cursor

    def pass_over(self, record: StoredRecord) -> None:
        """The client has a record, or does not want it."""
        advance(self.cursor, record.partition, record.offset + 1)

    def stand_at(self, cursor: Cursor) -> None:
        """The client has all before a cursor."""
        self.cursor = dict(cursor)

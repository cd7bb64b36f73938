"""Where a message lies in the archive: the same event has the same key whenever it is seen. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

__all__ = ["ArchiveObject", "request_key", "result_key", "step_key"]


@dataclass(frozen=True, slots=True)
class ArchiveObject:
    """A message for the archive.

    Attributes:
        correlation_id: the request that it is about.
        rank: of two messages with one key, the one with the higher rank is kept.
        body: the message's value.
        sha256: its digest, in hexadecimal digits.
    """

    key: str
    correlation_id: UUID
    rank: str
    body: bytes
    sha256: str

    @classmethod
    def of(cls, key: str, correlation_id: UUID, rank: str, body: bytes) -> ArchiveObject:
        """A message, with its digest worked out."""
        return cls(key, correlation_id, rank, body, hashlib.sha256(body).hexdigest())


def request_key(at: datetime, event_id: UUID) -> str:
    """The key of a request that was made `at` a time."""
    return _key("requests", at, event_id)


def result_key(at: datetime, correlation_id: UUID) -> str:
    """The key of the result of a request."""
    return _key("results", at, correlation_id)


def step_key(at: datetime, event_id: UUID) -> str:
    """The key of a progress event in which a graph tells of a step."""
    return _key("steps", at, event_id)


def _key(folder: str, at: datetime, name: UUID) -> str:
    day = at.astimezone(UTC)
    return f"{folder}/{day.year:04d}/{day.month:02d}/{day.day:02d}/{name}.json"

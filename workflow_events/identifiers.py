"""Event ids: how they are made, and what time they carry.

Ids are UUIDv7 (RFC 9562, section 5.7): the first 48 bits are Unix milliseconds. A waiter that holds nothing but an id
can therefore work out where in the reply topic to start reading.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from uuid import UUID

import uuid_utils
import uuid_utils.compat

__all__ = ["derive_correlation_id", "new_event_id", "new_event_id_and_text", "timestamp_of"]

_TIMESTAMP_SHIFT = 80
_RANDOM_A_MASK = 0x0FFF << 64
_RANDOM_B_MASK = (1 << 62) - 1
_VERSION_7 = 0x7 << 76
_VARIANT_RFC = 0b10 << 62


def new_event_id() -> UUID:
    """A new UUIDv7; ids of one process sort by the order in which they were made."""
    return uuid_utils.compat.uuid7()


def new_event_id_and_text() -> tuple[UUID, str]:
    """As :func:`new_event_id`, and its text, which the library that makes it writes seven times faster than the standard one."""
    made = uuid_utils.uuid7()
    return UUID(int=made.int), str(made)


def timestamp_of(event_id: UUID) -> datetime | None:
    """The time (aware, UTC, millisecond steps) that an id carries; None where it carries none we can trust.

    Only version 7 is read. Version 1 ids hold a time too, but often a made-up clock; they fall back to the look-back.
    """
    if event_id.version != 7:
        return None
    milliseconds = event_id.int >> _TIMESTAMP_SHIFT
    try:
        return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return None


def derive_correlation_id(*parts: str, time: datetime) -> UUID:
    """The same id for the same parts and time, in the shape of a UUIDv7.

    The idempotency key of a request (pattern: Idempotent Receiver, Enterprise Integration Patterns): a retry that
    names the same parts asks for the same work. The random bits are those of a SHA-256 over the parts, each preceded by
    its length, so that ``("a", "bc")`` and ``("ab", "c")`` differ.

    Args:
        parts: what makes the request itself, and not another.
        time: aware; not later than the first publish, and the same on every retry.

    Raises:
        ValueError: ``time`` is naive or before 1970.
    """
    if time.tzinfo is None:
        raise ValueError("derive_correlation_id needs an aware time; give it a tzinfo")
    milliseconds = int(time.timestamp() * 1000)
    if not 0 <= milliseconds < 1 << 48:
        raise ValueError(f"derive_correlation_id cannot hold the time {time.isoformat()} in 48 bits of milliseconds")
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    bits = int.from_bytes(digest.digest()[:16], "big")
    return UUID(
        int=milliseconds << _TIMESTAMP_SHIFT
        | _VERSION_7
        | (bits & _RANDOM_A_MASK)
        | _VARIANT_RFC
        | (bits & _RANDOM_B_MASK)
    )

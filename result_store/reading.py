"""What a message of one of the store's topics says: a fact, or that it is none. Pure.

Whatever lies on a topic, reading it raises nothing: what is no event, is too large, or is not signed where keys are set becomes
an :class:`~result_store.facts.InvalidFact`, which is kept to be looked at and is never a row of a request.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from uuid import UUID

from result_store.facts import (
    DeadLetterFact,
    InvalidFact,
    Place,
    ProgressFact,
    RequestFact,
    ResultFact,
    TopicRole,
)
from workflow_events.dead_letters import DeadLetterReason, read_letters, reason_of_malformed
from workflow_events.errors import InvalidEventError
from workflow_events.events import REQUESTS, EventType
from workflow_events.signing import HEADER_SIGNATURE, PROGRESS_TYPES, REQUEST_TYPES, RESULT_TYPES
from workflow_events.wire import HEADER_CORRELATION_ID, correlation_id_in, decode_event, decode_result

if TYPE_CHECKING:
    from result_store.facts import Fact
    from workflow_events.dead_letters import StoredMessage
    from workflow_events.events import WorkflowEvent
    from workflow_events.settings import KafkaSettings
    from workflow_events.signing import Signatures
    from workflow_events.wire import Headers

__all__ = ["FORGED", "KEPT_BYTES", "POISON", "UNREDEEMED", "UNSIGNED", "fact_of", "invalid", "kind_of", "topic_roles"]

logger = logging.getLogger(__name__)

KEPT_BYTES: Final = 65_536
"""How much of an invalid message's value is kept."""

UNSIGNED: Final = "unsigned"
FORGED: Final = "forged"
"""It has a signature that is not by one of our keys, or not of this message, or not for this topic."""
POISON: Final = DeadLetterReason.POISON.value
UNREDEEMED: Final = "claim-check"
"""Its payload could not be had from the claim check's store. What the message itself says is stored all the same."""

_LONGEST_ID: Final = 64
"""Characters; what is longer is none, and is not to be remembered."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES: Final = {
    TopicRole.REQUESTS: REQUEST_TYPES,
    TopicRole.RESULTS: RESULT_TYPES,
    TopicRole.PROGRESS: PROGRESS_TYPES,
}
_PROGRESS: Final = frozenset({EventType.WORKFLOW_ACCEPTED, EventType.WORKFLOW_PROGRESS, EventType.WORKFLOW_HEARTBEAT})
_KINDS: Final[dict[type, str]] = {
    RequestFact: "request",
    ResultFact: "result",
    ProgressFact: "progress",
    DeadLetterFact: "dead_letter",
    InvalidFact: "invalid",
}


def topic_roles(settings: KafkaSettings) -> dict[str, TopicRole]:
    """The topics that the store reads, and what each holds. Those of dead letters may not be there."""
    requests, results = settings.workflow_events_topic, settings.workflow_results_topic
    letters = [settings.dead_letter_topic(topic) for topic in (requests, results, settings.workflow_control_topic)]
    return {
        **dict.fromkeys(letters, TopicRole.DEAD_LETTERS),
        settings.workflow_progress_topic: TopicRole.PROGRESS,
        results: TopicRole.RESULTS,
        requests: TopicRole.REQUESTS,
    }


def kind_of(fact: Fact | None) -> str:
    """What a message was, as a word for counting."""
    return "other" if fact is None else _KINDS[type(fact)]


def fact_of(
    record: StoredMessage, role: TopicRole, settings: KafkaSettings, signatures: Signatures | None = None
) -> Fact | None:
    """What a message says; None where the store has no use for it, such as a note among the dead letters.

    A payload that lies in the claim check's store is not taken from there.

    Args:
        role: what its topic holds.
        settings: say what is too large to be read.
        signatures: check who may speak; None: everybody.
    """
    try:
        if role is TopicRole.DEAD_LETTERS:
            return _dead_letter(record, settings.max_read_bytes)
        return _event(record, role, settings.max_read_bytes, signatures)
    except InvalidEventError as error:
        code = reason_of_malformed(record.value)
        return invalid(record, code.value, str(error))
    except Exception as error:
        # Nobody knows what it is, so nobody knows that the next one is sound: it must not stop those behind it.
        logger.exception("A message at %s cannot be read", _place(record))
        return invalid(record, POISON, f"Reading the message failed ({type(error).__name__}); the log has the stack.")


def invalid(record: StoredMessage, error_type: str, error: str, *, read: bool = True) -> InvalidFact:
    """A message that is kept only to be looked at.

    Args:
        error_type: a word for counting.
        error: a sentence for people, without the message's values.
        read: whether its value may be searched for a correlation id.
    """
    value = record.value or b""
    return InvalidFact(
        place=_place(record),
        error_type=error_type,
        error=error,
        correlation_id=correlation_id_in(record.headers, value if read else None),
        key=record.key,
        headers=tuple(record.headers),
        value=value[:KEPT_BYTES],
        size=len(value),
        timestamp=_time(record.timestamp),
    )


def _event(
    record: StoredMessage, role: TopicRole, max_bytes: int, signatures: Signatures | None
) -> RequestFact | ResultFact | ProgressFact | InvalidFact | None:
    value = record.value or b""
    if len(value) > max_bytes:
        return invalid(
            record,
            DeadLetterReason.OVERSIZE.value,
            f"The message has {len(value)} bytes, and no more than {max_bytes} are read (KAFKA_MAX_READ_BYTES).",
            read=False,
        )
    if signatures is not None and not signatures.admits(record, _TYPES[role], topic=record.topic):
        return _untrusted(record)
    if role is TopicRole.RESULTS:
        return ResultFact(decode_result(value), value)
    event = decode_event(value)
    if role is TopicRole.REQUESTS:
        return RequestFact(event, value) if event.event_type in REQUESTS else None
    return _progress(record, event, value) if event.event_type in _PROGRESS else None


def _progress(record: StoredMessage, event: WorkflowEvent, value: bytes) -> ProgressFact | InvalidFact:
    about = _id_in_header(record.headers) or _id(event.payload.data.get("correlation_id"))
    if about is None:
        return invalid(
            record,
            DeadLetterReason.WRONG_SCHEMA.value,
            "The progress event names no request: it has neither the header correlation-id nor payload.data.correlation_id.",
        )
    return ProgressFact(event, about, value)


def _untrusted(record: StoredMessage) -> InvalidFact:
    if any(name == HEADER_SIGNATURE for name, _ in record.headers):
        return invalid(
            record,
            FORGED,
            "The signature is by none of KAFKA_SIGNING_KEYS, or is another message's, or another topic's. If its sender is one "
            "of ours, give it a key of KAFKA_SIGNING_KEYS.",
        )
    return invalid(
        record,
        UNSIGNED,
        "The message has no signature. If its sender is one of ours, give it a key of KAFKA_SIGNING_KEYS.",
    )


def _dead_letter(record: StoredMessage, max_bytes: int) -> DeadLetterFact | None:
    letters = read_letters([record])
    if not letters:
        return None  # a note that a letter was replayed
    letter, origin = letters[0], letters[0].origin
    size = len(letter.value) if letter.left_out is None else letter.left_out
    whence = None
    if origin.topic is not None and origin.partition is not None and origin.offset is not None:
        whence = Place(origin.topic, origin.partition, origin.offset)
    return DeadLetterFact(
        place=_place(record),
        code=letter.code,
        reason=letter.reason,
        correlation_id=correlation_id_in(letter.headers, letter.value if len(letter.value) <= max_bytes else None),
        origin=whence,
        size=size,
        timestamp=_time(record.timestamp),
    )


def _place(record: StoredMessage) -> Place:
    return Place(record.topic, record.partition, record.offset)


def _time(milliseconds: int) -> datetime:
    """A record's time; a broker that tells none gives -1."""
    try:
        return datetime.fromtimestamp(max(0, milliseconds) / 1000, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return _EPOCH


def _id_in_header(headers: Headers) -> UUID | None:
    for name, value in headers:
        if name == HEADER_CORRELATION_ID:
            return _id((value or b"").decode(errors="replace"))
    return None


def _id(text: object) -> UUID | None:
    return _parsed(text) if isinstance(text, str) and len(text) <= _LONGEST_ID else None


@lru_cache(maxsize=8192)
def _parsed(text: str) -> UUID | None:
    """An id; a request's comes up again in each word about it."""
    try:
        return UUID(text)
    except ValueError:
        return None

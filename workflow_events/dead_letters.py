"""What a dead letter is on the wire (pattern: Dead Letter Channel, Enterprise Integration Patterns). Pure.

A letter is the original message as it was (bytes, key, headers), with more headers behind those that say why it could not be
processed, whence it came and, where an exception tells, the stack. The same topic holds notes, which say that a letter was
replayed. A note is a message of its own, for a log cannot be written over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from pydantic_core import from_json

from workflow_events.wire import Message, OutgoingMessage, correlation_id_in

if TYPE_CHECKING:
    from uuid import UUID

__all__ = [
    "DeadLetter",
    "DeadLetterReason",
    "LetterPosition",
    "Origin",
    "ReplayStage",
    "StoredMessage",
    "letter_message",
    "note_message",
    "read_letters",
    "reason_of_malformed",
    "replay_message",
    "without_value",
]

_PREFIX = "dead-letter-"
HEADER_CODE = "dead-letter-code"
HEADER_REASON = "dead-letter-reason"
HEADER_TOPIC = "dead-letter-topic"
HEADER_PARTITION = "dead-letter-partition"
HEADER_OFFSET = "dead-letter-offset"
HEADER_TIMESTAMP = "dead-letter-timestamp"
HEADER_STACK = "dead-letter-stack"
HEADER_VALUE_LEFT_OUT = "dead-letter-value-left-out"
HEADER_NOTE = "dead-letter-note"
HEADER_NOTE_ABOUT = "dead-letter-note-about"
HEADER_REPLAY_OF = "replay-of"

_LONGEST_STACK = 8_000  # bytes; the end of a stack says more than its beginning
_LONGEST_REASON = 4_000  # bytes


class DeadLetterReason(StrEnum):
    """Why a message was given up, as a word for filters. Letters may have others, from workers to come."""

    INVALID_JSON = "invalid-json"
    WRONG_SCHEMA = "wrong-schema"
    OVERSIZE = "oversize"
    UNKNOWN_GRAPH = "unknown-graph"
    POISON = "poison"
    UNDELIVERABLE = "undeliverable"


def reason_of_malformed(value: bytes | None) -> DeadLetterReason:
    """What is the matter with a value that could not be read as an event."""
    try:
        from_json(value or b"")
    except ValueError:
        return DeadLetterReason.INVALID_JSON
    return DeadLetterReason.WRONG_SCHEMA


class StoredMessage(Message, Protocol):
    """A record as either Kafka client gives it."""

    @property
    def topic(self) -> str:
        """Where it lies."""

    @property
    def partition(self) -> int:
        """The partition it lies in."""

    @property
    def offset(self) -> int:
        """Its place there."""

    @property
    def timestamp(self) -> int:
        """Unix milliseconds."""

    @property
    def key(self) -> bytes | None:
        """Its key."""


@dataclass(frozen=True, slots=True, order=True)
class LetterPosition:
    """A letter's place in its dead-letter topic, written ``topic:partition:offset``."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> LetterPosition | None:
        """The position that a text names; None where it names none."""
        parts = text.rsplit(":", 2)
        if len(parts) != 3 or not parts[0] or not (_is_number(parts[1]) and _is_number(parts[2])):
            return None
        return cls(parts[0], int(parts[1]), int(parts[2]))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the message lay that became a letter, as the letter's headers say; None for what they do not."""

    topic: str | None
    partition: int | None
    offset: int | None
    time: datetime | None


class ReplayStage(StrEnum):
    """How far a replay has come: one that was begun and not finished may or may not have been published."""

    BEGUN = "replay-begun"
    DONE = "replay-done"


@dataclass(slots=True)
class DeadLetter:
    """A letter as it was read.

    Attributes:
        code: a :class:`DeadLetterReason`, or a word that this version does not know; empty where there is none.
        reason: a sentence for people.
        headers: the original ones.
        left_out: bytes of the original value, where it was too large to keep; None where it is here.
        replays: the stages of its replays, in order.
        begun_at: where the notes lie that say that a replay was begun.
    """

    position: LetterPosition
    code: str
    reason: str
    origin: Origin
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    stack: str | None = None
    left_out: int | None = None
    time: datetime | None = None
    replays: list[ReplayStage] = field(default_factory=list)
    begun_at: list[int] = field(default_factory=list)

    @property
    def correlation_id(self) -> UUID | None:
        """The request's id, if it can be read."""
        return correlation_id_in(self.headers, self.value)

    @property
    def replayed(self) -> bool:
        """Whether a replay was begun."""
        return bool(self.replays)


def letter_message(
    record: StoredMessage, code: DeadLetterReason, reason: str, *, topic: str, stack: str | None = None
) -> OutgoingMessage:
    """The message for the dead-letter topic: the original bytes, key and headers, and headers that say why and whence.

    Args:
        record: what cannot be processed.
        code: why, as a word.
        reason: why, as a sentence; it holds no value of the message, which may be secret.
        topic: the dead-letter topic.
        stack: the exception's, where there was one; its beginning is cut off where it is too long.
    """
    headers = [(name, value or b"") for name, value in record.headers]
    headers += [
        (HEADER_CODE, code.encode()),
        (HEADER_REASON, reason.encode(errors="replace")[:_LONGEST_REASON]),
        (HEADER_TOPIC, record.topic.encode()),
        (HEADER_PARTITION, str(record.partition).encode()),
        (HEADER_OFFSET, str(record.offset).encode()),
        (HEADER_TIMESTAMP, str(record.timestamp).encode()),
    ]
    if stack:
        headers.append((HEADER_STACK, stack.encode(errors="replace")[-_LONGEST_STACK:]))
    return OutgoingMessage(topic=topic, value=record.value or b"", key=record.key, headers=headers)


def without_value(letter: OutgoingMessage) -> OutgoingMessage:
    """A dead letter that is too large with its additional headers, without the value; its headers say where that is."""
    headers = [(name, value) for name, value in letter.headers if name.startswith(_PREFIX)]
    note = (HEADER_VALUE_LEFT_OUT, str(len(letter.value)).encode())
    return OutgoingMessage(topic=letter.topic, value=b"", key=None, headers=[*headers, note])


def note_message(position: LetterPosition, stage: ReplayStage) -> OutgoingMessage:
    """The note behind a letter, in its partition, that says how far its replay has come."""
    headers = [(HEADER_NOTE, stage.encode()), (HEADER_NOTE_ABOUT, str(position).encode())]
    return OutgoingMessage(position.topic, b"", None, headers, position.partition)


def replay_message(letter: DeadLetter, *, topic: str) -> OutgoingMessage:
    """The original message again: its bytes, key and headers, and one header that names the letter.

    Args:
        topic: where to; the one whose letters these are. What a letter's headers say is not followed, for whoever may write
            to one topic could then write to all that the replaying person may write to.
    """
    headers = [(name, value) for name, value in letter.headers if name != HEADER_REPLAY_OF]
    headers.append((HEADER_REPLAY_OF, str(letter.position).encode()))
    return OutgoingMessage(topic, letter.value, letter.key, headers)


def read_letters(records: Iterable[StoredMessage]) -> list[DeadLetter]:
    """The letters among the messages of a dead-letter topic, with the notes about them taken into account.

    It never raises: a message without our headers is a letter of which little is known.
    """
    letters: dict[LetterPosition, DeadLetter] = {}
    notes: list[tuple[LetterPosition, ReplayStage, int]] = []
    for record in records:
        position = LetterPosition(record.topic, record.partition, record.offset)
        said = _said(record.headers)
        # A letter always says its topic, so an original message cannot pass itself off as a note.
        if HEADER_NOTE in said and HEADER_TOPIC not in said:
            about = LetterPosition.parse(said.get(HEADER_NOTE_ABOUT, ""))
            # A note lies behind its letter and in the same partition; one that does not is nobody's.
            if about is not None and about.topic == position.topic and about.partition == position.partition:
                notes += [(about, stage, position.offset) for stage in ReplayStage if stage == said[HEADER_NOTE]]
        else:
            letters[position] = _letter(record, position, said)
    for about, stage, offset in notes:
        if about in letters:
            letters[about].replays.append(stage)
            if stage is ReplayStage.BEGUN:
                letters[about].begun_at.append(offset)
    return list(letters.values())


def _letter(record: StoredMessage, position: LetterPosition, said: dict[str, str]) -> DeadLetter:
    return DeadLetter(
        position=position,
        code=said.get(HEADER_CODE, ""),
        reason=said.get(HEADER_REASON, ""),
        origin=Origin(
            said.get(HEADER_TOPIC),
            _number(said.get(HEADER_PARTITION)),
            _number(said.get(HEADER_OFFSET)),
            _time(_number(said.get(HEADER_TIMESTAMP))),
        ),
        key=record.key,
        value=record.value or b"",
        headers=[(name, value or b"") for name, value in record.headers if not name.startswith(_PREFIX)],
        stack=said.get(HEADER_STACK),
        left_out=_number(said.get(HEADER_VALUE_LEFT_OUT)),
        time=_time(record.timestamp),
    )


def _said(headers: Sequence[tuple[str, bytes | None]]) -> dict[str, str]:
    """Our headers; the last of a name counts, since the original message may have brought one of the same name."""
    return {name: (value or b"").decode(errors="replace") for name, value in headers if name.startswith(_PREFIX)}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and _is_number(text) else None


def _time(milliseconds: int | None) -> datetime | None:
    if milliseconds is None or milliseconds < 0:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return None

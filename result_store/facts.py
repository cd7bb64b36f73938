"""What the store learns from one message: a fact. Data only; :mod:`result_store.reading` makes facts of records.

Facts of one batch go through the store together. Each holds the validated event and the bytes that it was read from, which are
what the archive keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from workflow_events.events import WorkflowEvent, WorkflowResultEvent

__all__ = ["DeadLetterFact", "Fact", "InvalidFact", "Place", "ProgressFact", "RequestFact", "ResultFact", "TopicRole"]


class TopicRole(StrEnum):
    """What a topic holds, whatever it is called here."""

    REQUESTS = "requests"
    RESULTS = "results"
    PROGRESS = "progress"
    DEAD_LETTERS = "dead_letters"


class Place(NamedTuple):
    """Where a message lies."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


class RequestFact(NamedTuple):
    """Somebody asks for something.

    Attributes:
        raw: the message's value.
    """

    event: WorkflowEvent
    raw: bytes

    @property
    def correlation_id(self) -> UUID:
        """Whose fact it is."""
        return self.event.event_id


class ResultFact(NamedTuple):
    """A request has come to its end. Where the result was in the claim check's store, ``event`` has it in its place.

    Attributes:
        raw: the message's value, or what it would be with the payload in its place.
    """

    event: WorkflowResultEvent
    raw: bytes

    @property
    def correlation_id(self) -> UUID:
        """Whose fact it is."""
        return self.event.correlation_id


class ProgressFact(NamedTuple):
    """A worker tells of a request."""

    event: WorkflowEvent
    correlation_id: UUID
    raw: bytes


@dataclass(frozen=True, slots=True)
class InvalidFact:
    """A message that is none of these, or that the database will not take; it is kept to be looked at.

    Attributes:
        error_type: a word for counting: a :class:`~workflow_events.dead_letters.DeadLetterReason`, ``unsigned``, ``poison``.
        error: a sentence for people, without the message's values.
        correlation_id: None where it cannot be read.
        headers: names and values, in order.
        value: its first bytes; ``size`` says how many there were.
        timestamp: when it was published.
    """

    place: Place
    error_type: str
    error: str
    correlation_id: UUID | None
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes
    size: int
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class DeadLetterFact:
    """A worker has given a message up: what its dead letter says, in short. The letter itself stays in its topic.

    Attributes:
        place: the letter's own.
        origin: where the message lay; None where the letter does not say.
    """

    place: Place
    code: str
    reason: str
    correlation_id: UUID | None
    origin: Place | None
    size: int
    timestamp: datetime


Fact = RequestFact | ResultFact | ProgressFact | InvalidFact | DeadLetterFact

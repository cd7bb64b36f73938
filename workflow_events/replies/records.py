"""What the readers hand around: a record as any client gives it, its place in the log, and a reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from workflow_events.events import WorkflowResultEvent
    from workflow_events.wire import Headers

__all__ = ["Record", "RecordPosition", "Reply"]


class Record(Protocol):
    """A consumed record. aiokafka's and kafka-python's ``ConsumerRecord`` both fit."""

    @property
    def partition(self) -> int:
        """The partition it lies in."""

    @property
    def offset(self) -> int:
        """Its place there."""

    @property
    def headers(self) -> Headers:
        """Names and values, in order."""

    @property
    def value(self) -> bytes | None:
        """The body; None for a tombstone."""


@dataclass(frozen=True, slots=True)
class RecordPosition:
    """A record's place in the log; a reference to a result that is too large to pass on."""

    topic: str
    partition: int
    offset: int

    def to_json(self) -> dict[str, Any]:
        """This position as a JSON-ready dict; ``RecordPosition(**data)`` takes it back."""
        return {"topic": self.topic, "partition": self.partition, "offset": self.offset}


@dataclass(frozen=True, slots=True)
class Reply:
    """A result that was delivered to its waiter.

    Attributes:
        size: bytes of the record's value.
    """

    event: WorkflowResultEvent
    position: RecordPosition
    size: int

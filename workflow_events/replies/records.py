"""What the readers hand around: a record as any client gives it, its place in the log, and a reply.

Named tuples, for one of each is made for every reply, and they are made in little more than half a frozen dataclass's time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from workflow_events.wire import Message

if TYPE_CHECKING:
    from workflow_events.events import WorkflowResultEvent

MAX_RECORDS = 64
"""How many records a reader takes at a time. Each is a dozen objects while it lives. A thousand alive at once have the garbage
collector promote them and visit the whole heap again and again; a few dozen are gone before it looks."""

__all__ = ["MAX_RECORDS", "Record", "RecordPosition", "Reply"]


class Record(Message, Protocol):
    """A consumed record. aiokafka's and kafka-python's ``ConsumerRecord`` both fit."""

    @property
    def partition(self) -> int:
        """The partition it lies in."""

    @property
    def offset(self) -> int:
        """Its place there."""


class RecordPosition(NamedTuple):
    """A record's place in the log; a reference to a result that is too large to pass on."""

    topic: str
    partition: int
    offset: int

    def to_json(self) -> dict[str, Any]:
        """This position as a JSON-ready dict; ``RecordPosition(**data)`` takes it back."""
        return {"topic": self.topic, "partition": self.partition, "offset": self.offset}


class Reply(NamedTuple):
    """A result that was delivered to its waiter.

    Attributes:
        position: where in the log it lies; None where the result store had it.
        size: bytes of the record's value.
    """

    event: WorkflowResultEvent
    position: RecordPosition | None
    size: int

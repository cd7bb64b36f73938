"""Whose progress is this? The watches of one progress topic, and the rule by which events find them. No I/O.

It is the correlator of replies with another rule: an event does not end a watch, and is told to each watch once however often it
is read (pattern: Idempotent Receiver, Enterprise Integration Patterns). Until the past of a watch is read, what comes is kept
back, so that who watches sees the events in their order.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from workflow_events.errors import InvalidEventError
from workflow_events.events import EventType
from workflow_events.progress.clocks import Sign
from workflow_events.replies.correlator import Correlator, Waiter
from workflow_events.signing import PROGRESS_TYPES
from workflow_events.wire import HEADER_CORRELATION_ID, correlation_key, decode_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from workflow_events.events import WorkflowEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.replies.records import Record, Reply
    from workflow_events.wire import Message

__all__ = ["Watch", "Watches", "progress_keys", "sign_of"]

_OF_A_RUN = frozenset({EventType.WORKFLOW_ACCEPTED, EventType.WORKFLOW_PROGRESS, EventType.WORKFLOW_HEARTBEAT})


class Watch(Waiter):
    """One who wants to hear of a request's run.

    Args:
        pending: the request. Its cursor is the progress topic's, once :meth:`start_at` has said it.
        tell: called with each event, in order, once each. Must not raise.
        wake: called when the past has been read, and when the reader ends. Must not raise.
    """

    __slots__ = ("_begun", "_kept", "_seen", "_tell", "past_is_read", "wake")

    def __init__(
        self, pending: PendingRequest, tell: Callable[[WorkflowEvent], None], wake: Callable[[], None]
    ) -> None:
        super().__init__(pending)
        self._tell = tell
        self.wake = wake
        self._seen: set[UUID] = set()
        self._kept: list[tuple[int, int, WorkflowEvent]] = []
        self._begun = _begun(pending)
        self.past_is_read = False

    def start_at(self, topic: str, cursor: dict[int, int]) -> None:
        """Where in the progress topic the request's past begins."""
        self.pending = self.pending.model_copy(
            update={"reply_topic": topic, "reply_cursor": cursor, "reply_partition": None}
        )

    def see(self, record: Record, event: WorkflowEvent) -> None:
        """An event about this request was read."""
        if event.event_id in self._seen or not self._concerns(event):
            return
        self._seen.add(event.event_id)
        if self.past_is_read:
            self._tell(event)
        else:
            self._kept.append((record.partition, record.offset, event))

    def done(self) -> None:
        """Everything that was there when the watch began has been read."""
        if self.past_is_read:
            return
        self.past_is_read = True
        kept, self._kept = sorted(self._kept, key=lambda one: one[:2]), []
        for _, _, event in kept:
            self._tell(event)
        self.wake()

    def deliver(self, reply: Reply) -> None:
        """Replies do not come here."""
        raise NotImplementedError

    def _concerns(self, event: WorkflowEvent) -> bool:
        """Whether the event is about what is waited for.

        An earlier attempt's run that still goes on serves this attempt too: its events count from this attempt's begin on.
        """
        if event.attempt >= self.pending.attempt:
            return True
        return self._begun is None or event.timestamp >= self._begun


class Watches(Correlator):
    """The watches of one progress topic."""

    def feed(self, records: Sequence[Record], keys: Sequence[bytes | None] | None = None) -> None:
        """Offer records to the watches, in order; see :meth:`Correlator.feed`."""
        super().feed(records, progress_keys(records) if keys is None else keys)

    def offer(self, record: Record, key: bytes) -> None:
        """Hand one record to those who watch the request ``key``, if it tells of its run."""
        watches = self._waiters.get(key)
        if not watches:
            return
        if self.max_bytes is not None and len(record.value or b"") > self.max_bytes:
            self.counts.oversize += 1
            return
        if self._signatures is not None and not self._signatures.admits(record, PROGRESS_TYPES, topic=self.topic):
            self.counts.untrusted += 1
            return
        try:
            event = decode_event(record.value)
        except InvalidEventError:
            self.counts.malformed += 1
            return
        if event.event_type not in _OF_A_RUN:
            return
        about = event.payload.data.get("correlation_id")
        if about is not None and (not isinstance(about, str) or about.lower() != key.decode()):
            self.counts.foreign += 1
            return
        self.counts.delivered += 1
        for watch in tuple(watches):
            if isinstance(watch, Watch):
                watch.see(record, event)


def progress_keys(records: Iterable[Message]) -> list[bytes | None]:
    """The id of the request that each record is about: its header's; where it has none, its payload's ``correlation_id``."""
    keys: list[bytes | None] = []
    for record in records:
        header = next((value for name, value in record.headers if name == HEADER_CORRELATION_ID), None)
        keys.append(_id_in_payload(record.value) if header is None else header.lower())
    return keys


def _id_in_payload(value: bytes | None) -> bytes | None:
    try:
        found = decode_event(value).payload.data.get("correlation_id")
        return correlation_key(UUID(found)) if isinstance(found, str) else None
    except ValueError:
        return None


def sign_of(event: WorkflowEvent) -> Sign:
    """What an event means to the clocks."""
    data = event.payload.data
    worker, node, interval = data.get("worker"), data.get("node"), data.get("heartbeat_interval")
    return Sign(
        what=str(event.event_type),
        worker=worker if isinstance(worker, str) else None,
        node=node if isinstance(node, str) else None,
        interval=float(interval) if isinstance(interval, int | float) and not isinstance(interval, bool) else None,
    )


def _begun(pending: PendingRequest) -> datetime | None:
    """When this attempt was published, where the request tells; a retry that does not tell begins now.

    The last words of an earlier attempt's dead worker are no sign of life to the retry, whose clock would run out on them.
    """
    if pending.accepted_by is None or pending.accepted_timeout is None:
        return None if pending.attempt == 1 else datetime.now(tz=UTC)
    return pending.accepted_by - timedelta(seconds=pending.accepted_timeout)

"""Telling live views that rows have changed: ``workflow.result_stored`` on a topic of its own.

The event says what has changed and how it stands now; all else is in the database, which is written first. So an event that is
lost, say because this process died in between, costs a view a moment's delay and nobody a result.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from workflow_events.events import WorkflowEventMetadata
from workflow_events.identifiers import new_event_id
from workflow_events.transport import aio
from workflow_events.wire import correlation_key, plain_about_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from result_store.records import StoredEvent
    from workflow_events.settings import KafkaSettings
    from workflow_events.wire import OutgoingMessage

__all__ = ["RESULT_STORED", "SOURCE", "Announcer", "stored_message"]

RESULT_STORED: Final = "workflow.result_stored"
SOURCE: Final = "result-store"

_METADATA: Final = WorkflowEventMetadata().model_dump()


def stored_message(changed: StoredEvent, *, topic: str, now: datetime) -> OutgoingMessage:
    """The event that says that a request's row has changed, keyed by the request's id."""
    key = correlation_key(changed.correlation_id)
    fields: dict[str, Any] = {
        "event_id": str(new_event_id()),
        "event_type": RESULT_STORED,
        "timestamp": now,
        "source": SOURCE,
        "workflow_id": changed.workflow_id,
        "workflow_run_id": changed.workflow_run_id,
        "payload": {"data": changed.model_dump(mode="json"), "graph": None},
        "metadata": _METADATA,
        "attempt": 1,
    }
    return plain_about_message(fields, topic=topic, key=key)


class Announcer:
    """Publishes what has changed.

    Args:
        settings: where Kafka is.
        topic: where the events go; ``StoreSettings.stored_topic``.
    """

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self._producer: aio.Producer | None = None

    async def start(self) -> None:
        """Connect. :meth:`stop` it.

        Raises:
            TransportError: no broker can be reached, or none lets us in.
        """
        self._producer = await aio.start_producer(self._settings)

    async def stop(self) -> None:
        """Deliver what is under way, and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def announce(self, changed: Sequence[StoredEvent]) -> None:
        """Publish one event for each, and wait until all are stored.

        Raises:
            TopicNotFoundError: the topic does not exist.
            TransportError: not all could be published.
            RuntimeError: it was not started.
        """
        producer = self._producer
        if producer is None:
            raise RuntimeError("start() the announcer first")
        now = datetime.now(tz=UTC)
        limit = self._settings.request_timeout
        sent = [await aio.post(producer, stored_message(event, topic=self._topic, now=now), limit) for event in changed]
        done = await asyncio.gather(*sent, return_exceptions=True)
        failed = next((error for error in done if isinstance(error, BaseException)), None)
        if failed is not None:
            raise aio.not_confirmed(self._settings, self._topic, 0, failed, limit) from failed

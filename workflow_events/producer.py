"""Publishing events from synchronous code, such as an Airflow task: confirmed, or an error."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from workflow_events.errors import BrokerUnavailableError, DeliveryError, InvalidEventError
from workflow_events.events import (
    REQUESTS,
    EventSource,
    EventType,
    WorkflowEvent,
    WorkflowEventMetadata,
    WorkflowEventPayload,
    WorkflowResultEvent,
)
from workflow_events.settings import KafkaSettings
from workflow_events.transport.shared_producer import SharedProducer
from workflow_events.validation import explain
from workflow_events.wire import ReturnAddress, event_message, request_message, result_message

if TYPE_CHECKING:
    from types import TracebackType

    from workflow_events.wire import OutgoingMessage

__all__ = ["WorkflowEventProducer"]

logger = logging.getLogger(__name__)

_PAYLOAD_FIELDS = frozenset(WorkflowEventPayload.model_fields)


class WorkflowEventProducer:
    """Publishes events and returns once all in-sync replicas have them.

    ::

        with WorkflowEventProducer() as producer:
            event = producer.publish_workflow_event(
                event_type=EventType.WORKFLOW_TRIGGERED,
                workflow_id="summarise",
                workflow_run_id=run_id,
                payload={"data": {"text": "..."}},
            )
        correlation_id = event.event_id

    It connects when first used, and anew after :meth:`close` or in a forked process. Threads may share it. A message that
    could not be confirmed may still arrive; publishing the same event again is safe, because its id stays the same and a
    worker does the work of one id once.

    Args:
        bootstrap_servers: brokers as ``host:port``, separated by commas. Left out: ``KAFKA_BOOTSTRAP_SERVERS``, else
            ``"localhost:9092"``. Read the attribute for what it came to.
        topic: where events go. Left out: ``KAFKA_WORKFLOW_EVENTS_TOPIC``, else ``"workflow-events"``.
        settings: how to connect and everything else; the environment's where None. ``bootstrap_servers`` and ``topic`` win.
        source: what the events name as their source.
        metadata: what the events carry as metadata: environment, and whatever else is to be passed on.
        reply_topic: return address that requests carry. None carries none: the worker answers on its own result topic,
            which is where a poller looks by default.

    Raises:
        ConfigurationError: the settings do not hold.
        InvalidEventError: the metadata do not.
    """

    def __init__(
        self,
        bootstrap_servers: str | None = None,
        topic: str | None = None,
        *,
        settings: KafkaSettings | None = None,
        source: EventSource | str = EventSource.AIRFLOW,
        metadata: WorkflowEventMetadata | Mapping[str, Any] | None = None,
        reply_topic: str | None = None,
    ) -> None:
        given = {"bootstrap_servers": bootstrap_servers, "workflow_events_topic": topic}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        self.settings = settings.replace(**changes) if settings is not None else KafkaSettings(**changes)
        self.source = source
        self.metadata = _metadata(metadata)
        self.reply_topic = reply_topic
        self._producer = SharedProducer(self.settings)

    @property
    def bootstrap_servers(self) -> str:
        """The brokers that are asked first."""
        return self.settings.bootstrap_servers

    @property
    def topic(self) -> str:
        """Where events go."""
        return self.settings.workflow_events_topic

    def __repr__(self) -> str:
        return f"{type(self).__name__}(bootstrap_servers={self.bootstrap_servers!r}, topic={self.topic!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def publish_workflow_event(
        self,
        event_type: EventType | str,
        workflow_id: str,
        workflow_run_id: str,
        payload: WorkflowEventPayload | Mapping[str, Any],
        *,
        timeout: float = 10.0,
    ) -> WorkflowEvent:
        """Make an event and publish it to :attr:`topic`.

        Args:
            event_type: ``EventType.WORKFLOW_TRIGGERED`` for a request.
            workflow_id: names the graph, or the DAG where the worker has but one graph.
            workflow_run_id: groups requests that belong together, such as one DAG run's.
            payload: ``{"data": {...}}``, JSON values only, or the model.
            timeout: seconds until the broker's confirmation.

        Returns:
            The event. Its ``event_id`` is the correlation id of the result.

        Raises:
            InvalidEventError: an argument does not fit the event; nothing was published.
            DeliveryError: not confirmed in time; it may still arrive.
            TransportError: another one of the tree; see :mod:`workflow_events.errors`.
        """
        event = self._event(event_type, workflow_id, workflow_run_id, payload)
        self._publish(self._message(event, self.topic), timeout)
        return event

    def publish_event(
        self,
        event: WorkflowEvent | WorkflowResultEvent,
        topic: str | None = None,
        timeout: float = 10.0,
    ) -> bool:
        """Publish an event that was made elsewhere.

        Args:
            event: any event.
            topic: left out, results go to the settings' result topic and all else to :attr:`topic`.
            timeout: seconds until the broker's confirmation.

        Returns:
            True: all in-sync replicas have it. False: not confirmed in time, since brokers or replicas are away (the
            reason is logged as a warning); it may still arrive, and publishing it again is safe.

        Raises:
            TransportError: another try would end the same: no such topic, no right to it, too large a message.
        """
        home = self.settings.workflow_results_topic if isinstance(event, WorkflowResultEvent) else self.topic
        try:
            self._publish(self._message(event, topic or home), timeout)
        except (BrokerUnavailableError, DeliveryError) as error:
            logger.warning("%s", error)
            return False
        return True

    def flush(self, timeout: float | None = None) -> None:
        """Wait for messages that were given up on and may still be under way. There are none after a success.

        Args:
            timeout: seconds; None takes the settings' ``request_timeout``.

        Raises:
            DeliveryError: some are still under way.
        """
        self._producer.flush(self.settings.request_timeout if timeout is None else timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Close the connection; messages that were given up on have ``timeout`` seconds to get through."""
        self._producer.close(timeout)

    def _event(
        self,
        event_type: EventType | str,
        workflow_id: str,
        workflow_run_id: str,
        payload: WorkflowEventPayload | Mapping[str, Any],
    ) -> WorkflowEvent:
        if isinstance(payload, Mapping) and ("data" not in payload or not _PAYLOAD_FIELDS.issuperset(payload)):
            raise InvalidEventError(
                f'The payload of an event is {{"data": {{...}}}}, not a dict with the keys {sorted(map(str, payload))}.'
            )
        try:
            return WorkflowEvent(
                event_type=event_type,
                source=self.source,
                workflow_id=workflow_id,
                workflow_run_id=workflow_run_id,
                payload=WorkflowEventPayload.model_validate(payload),
                metadata=self.metadata,
            )
        except ValidationError as error:
            problem = explain(error)
        raise InvalidEventError(f"The event cannot be made: {problem}.")

    def _message(self, event: WorkflowEvent | WorkflowResultEvent, topic: str) -> OutgoingMessage:
        if isinstance(event, WorkflowResultEvent):
            return result_message(event, topic=topic)
        if event.event_type in REQUESTS:
            reply_to = ReturnAddress(self.reply_topic) if self.reply_topic else None
            return request_message(event, topic=topic, reply_to=reply_to)
        return event_message(event, topic=topic)

    def _publish(self, message: OutgoingMessage, timeout: float) -> None:
        self._producer.publish([message], timeout)


def _metadata(given: WorkflowEventMetadata | Mapping[str, Any] | None) -> WorkflowEventMetadata:
    try:
        return WorkflowEventMetadata.model_validate(given or {})
    except ValidationError as error:
        problem = explain(error)
    raise InvalidEventError(f"The metadata do not hold: {problem}.")

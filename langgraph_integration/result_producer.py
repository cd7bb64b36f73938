"""Publishing results from any async code, without a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from pydantic import ValidationError

from langgraph_integration.serialization import to_plain_object
from workflow_events.errors import InvalidEventError, WorkflowEventsError
from workflow_events.events import ResultStatus, WorkflowResultEvent
from workflow_events.retry import async_transport_retrying
from workflow_events.settings import KafkaSettings
from workflow_events.transport import aio
from workflow_events.validation import explain
from workflow_events.wire import ReturnAddress, result_message

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["ResultProducer"]


class ResultProducer:
    """Publishes results.

    ::

        async with ResultProducer() as results:
            await results.publish_result(event.event_id, event.workflow_id, event.workflow_run_id, {"answer": 42})

    Args:
        bootstrap_servers: brokers, as ``host:port``, separated by commas; None: the settings'.
        topic: where to publish; None: the settings' results topic.
        settings: everything else; the environment's where None.
    """

    def __init__(
        self,
        bootstrap_servers: str | None = None,
        topic: str | None = None,
        *,
        settings: KafkaSettings | None = None,
    ) -> None:
        given = {} if settings is None else dict(settings)
        if bootstrap_servers is not None:
            given["bootstrap_servers"] = bootstrap_servers
        self.settings = KafkaSettings(**given)
        self.bootstrap_servers = self.settings.bootstrap_servers
        self.topic = topic or self.settings.workflow_results_topic
        self._producer: aio.Producer | None = None

    async def start(self) -> None:
        """Connect; does nothing when connected.

        Raises:
            TransportError: no broker could be reached within ``connect_timeout``, or none let us in.
        """
        if self._producer is None:
            self._producer = await aio.start_producer(self.settings)

    async def stop(self) -> None:
        """Send what is under way, and disconnect; does nothing when not connected."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def publish_result(
        self,
        correlation_id: UUID | str,
        workflow_id: str,
        workflow_run_id: str,
        result: Any,
        status: ResultStatus | str = ResultStatus.SUCCESS,
        error: str | None = None,
    ) -> WorkflowResultEvent:
        """Publish the result of a request, and return it once all in-sync replicas have it.

        Args:
            correlation_id: the request's event id.
            result: anything with a plain JSON form, see :mod:`langgraph_integration.serialization`; a value that is no
                object becomes ``{"output": value}``.
            error: a sentence for people, where the status is not ``success``.

        Raises:
            UnserializableError: ``result`` holds something without a plain form; the message names its path.
            InvalidEventError: another argument does not fit; the message names it.
            TransportError: it could not be published within ``request_timeout``.
        """
        plain = to_plain_object(result)
        try:
            event = WorkflowResultEvent.model_validate(
                {
                    "correlation_id": correlation_id,
                    "workflow_id": workflow_id,
                    "workflow_run_id": workflow_run_id,
                    "result": plain,
                    "status": status,
                    "error": error,
                }
            )
        except ValidationError as problem:
            raise InvalidEventError(f"The result cannot be published: {explain(problem)}.") from None
        await self.publish(event)
        return event

    async def publish(self, event: WorkflowResultEvent, address: ReturnAddress | None = None) -> None:
        """Publish a result event.

        Args:
            address: the request's return address, see :func:`workflow_events.wire.return_address_in`; None: ``topic``.

        Raises:
            TransportError: it could not be published within ``request_timeout``.
        """
        if self._producer is None:
            raise WorkflowEventsError("This ResultProducer is not started: use it as `async with`, or call start()")
        target = address or ReturnAddress(self.topic)
        message = result_message(event, topic=target.topic, partition=target.partition)
        async for attempt in async_transport_retrying(self.settings.request_timeout):
            with attempt:
                await aio.send(self._producer, message)

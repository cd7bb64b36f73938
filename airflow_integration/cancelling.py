"""How a task that ends before its time stops the runs it has asked for.

Airflow tells a task in its worker slot (``on_kill`` of the operator, called for a SIGTERM and for ``execution_timeout``), and
from 3.3 on a task that is deferred (``on_kill`` of the trigger, called when a user marks or clears the task, not when a
triggerer stops). Either publishes a cancel for the attempt: it stops this attempt and those before it, and a later one that is
already asked for runs on.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from workflow_events.errors import WorkflowEventsError
from workflow_events.events import EventSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workflow_events.pending import PendingRequest
    from workflow_events.settings import KafkaSettings
    from workflow_events.wire import OutgoingMessage

__all__ = ["CANCEL_SECONDS", "cancel", "cancel_from_loop"]

log = logging.getLogger(__name__)

CANCEL_SECONDS = 4.0
"""How long a dying task tries: its supervisor kills it some 5 s after the SIGTERM."""
_MOST_AT_ONCE = 500


def cancel(settings: KafkaSettings, requests: Sequence[PendingRequest], reason: str) -> bool:
    """Ask the workers to stop these runs, over connections of its own: whoever calls it may have been interrupted in another.

    Never raises, for the task is about to end, with an error of its own to tell.

    Returns:
        Whether the broker has all of the wishes.
    """
    if not requests:
        return True
    from workflow_events.transport import blocking  # noqa: PLC0415 - brings in a Kafka client

    brief = _brief(settings)
    try:
        producer = blocking.new_producer(brief)
        try:
            blocking.send_all(producer, _messages(settings, requests, reason), CANCEL_SECONDS)
        finally:
            producer.close(timeout=1.0)
    except WorkflowEventsError as error:
        _tell_failure(requests, error)
        return False
    log.info("Asked the workers to stop %s: %s.", _named(requests), reason)
    return True


async def cancel_from_loop(settings: KafkaSettings, requests: Sequence[PendingRequest], reason: str) -> bool:
    """The same, in an event loop.

    Returns:
        Whether the broker has all of the wishes.
    """
    if not requests:
        return True
    from workflow_events.transport import aio  # noqa: PLC0415 - brings in a Kafka client

    failure: BaseException | None = None
    try:
        producer = await aio.start_producer(_brief(settings))
        try:
            messages = _messages(settings, requests, reason)
            for begin in range(0, len(messages), _MOST_AT_ONCE):
                several = messages[begin : begin + _MOST_AT_ONCE]
                sent = await asyncio.gather(
                    *(aio.send(producer, message, CANCEL_SECONDS) for message in several), return_exceptions=True
                )
                failure = failure or next((one for one in sent if isinstance(one, BaseException)), None)
        finally:
            await producer.stop()
    except WorkflowEventsError as error:
        failure = error
    if failure is not None:
        _tell_failure(requests, failure)
        return False
    log.info("Asked the workers to stop %s: %s.", _named(requests), reason)
    return True


def _messages(settings: KafkaSettings, requests: Sequence[PendingRequest], reason: str) -> list[OutgoingMessage]:
    from workflow_events.requests import cancel_message  # noqa: PLC0415 - DAG files are parsed without it

    return [cancel_message(settings, request, source=EventSource.AIRFLOW, reason=reason) for request in requests]


def _brief(settings: KafkaSettings) -> KafkaSettings:
    return settings.replace(
        connect_timeout=min(settings.connect_timeout, CANCEL_SECONDS),
        request_timeout=min(settings.request_timeout, CANCEL_SECONDS),
    )


def _tell_failure(requests: Sequence[PendingRequest], error: BaseException) -> None:
    log.warning("%s cannot be cancelled, and may run on: %s", _named(requests), error)


def _named(requests: Sequence[PendingRequest]) -> str:
    first = requests[0].correlation_id
    return f"request {first}" if len(requests) == 1 else f"{len(requests)} requests, the first of them {first}"

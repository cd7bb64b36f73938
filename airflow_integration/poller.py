"""Waits for results by hand, in any task or script."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from workflow_events.errors import InvalidEventError, ResultTimeoutError
from workflow_events.identifiers import timestamp_of
from workflow_events.pending import PendingRequest

if TYPE_CHECKING:
    from types import TracebackType

    from workflow_events.events import WorkflowResultEvent
    from workflow_events.replies.sync_waits import SyncWaits
    from workflow_events.settings import KafkaSettings

__all__ = ["WorkflowResultPoller"]

_UNTOLD = "(not told)"
"""Stands in messages for a workflow that the caller did not name."""
_LONGEST_SECONDS = 10 * 365 * 86_400.0


class WorkflowResultPoller:
    """Finds results by correlation id, whether they are there already or are yet to come.

    ::

        result = WorkflowResultPoller(timeout=300).poll_for_result(event.event_id)
        if result is None: ...  # not within 300 seconds

    It reads in no consumer group and commits nothing, so any number of pollers may look for the same or other results. One
    poller reads the topic once, however many results it is asked for. Connects when first used; a context manager.

    Args:
        bootstrap_servers: ``KAFKA_BOOTSTRAP_SERVERS`` where None, else ``localhost:9092``.
        topic: ``KAFKA_WORKFLOW_RESULTS_TOPIC`` where None, else ``workflow-results``.
        timeout: seconds that :meth:`poll_for_result` waits.
        poll_interval: the longest that the poller goes without asking the broker, in seconds. It waits for the broker's
            answer and does not sleep: a result is returned as soon as it is there, whatever the interval.
        settings: how to be let in, and everything else about Kafka; the environment's where None.
    """

    def __init__(
        self,
        bootstrap_servers: str | None = None,
        topic: str | None = None,
        timeout: float = 300,
        poll_interval: float = 1.0,
        *,
        settings: KafkaSettings | None = None,
    ) -> None:
        if timeout < 0 or math.isnan(timeout):
            raise ValueError(f"timeout must be 0 seconds or more, not {timeout!r}")
        if not poll_interval > 0:
            raise ValueError(f"poll_interval must be above 0 seconds, not {poll_interval!r}")
        self.settings = _settings(settings, bootstrap_servers)
        self.bootstrap_servers = self.settings.bootstrap_servers
        self.topic = topic or self.settings.workflow_results_topic
        self.timeout = timeout
        self.poll_interval = poll_interval
        self._waits_made: SyncWaits | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and forget what was read. The poller may be used again."""
        if self._waits_made is not None:
            self._waits_made.close()

    def poll_for_result(self, correlation_id: UUID | str, workflow_id: str | None = None) -> dict[str, Any] | None:
        """The result of a request; None if there is none within ``timeout`` seconds.

        Where to start reading is worked out from the time in the id (UUIDv7), less a margin for clocks that disagree
        (``KAFKA_CLOCK_MARGIN``). For an id that carries no time it is ``KAFKA_LOOK_BACK`` seconds ago.

        Args:
            correlation_id: the request's ``event_id``.
            workflow_id: for error messages.

        Returns:
            The event's fields with JSON values, among them ``status`` (``"success"``, ``"failure"``, ``"error"``, ...),
            ``result``, ``error`` and ``correlation_id``.

        Raises:
            InvalidEventError: ``correlation_id`` is no UUID.
            TransportError: the broker refuses, or the topic does not exist.
        """
        try:
            return self.wait(self.pending_for(correlation_id, workflow_id)).model_dump(mode="json")
        except ResultTimeoutError:
            return None

    def pending_for(self, correlation_id: UUID | str, workflow_id: str | None = None) -> PendingRequest:
        """What :meth:`wait` needs, worked out from the id alone, with a deadline ``timeout`` seconds from now.

        Raises:
            InvalidEventError: ``correlation_id`` is no UUID.
            TransportError: the broker cannot be asked where to start.
        """
        wanted = _uuid(correlation_id)
        now = datetime.now(tz=UTC)
        return PendingRequest(
            correlation_id=wanted,
            workflow_id=workflow_id or _UNTOLD,
            workflow_run_id=_UNTOLD,
            reply_topic=self.topic,
            reply_cursor=self._waits.reader(self.topic).cursor_at(self._start(wanted, now)),
            deadline=now + timedelta(seconds=min(self.timeout, _LONGEST_SECONDS)),
        )

    def wait(self, pending: PendingRequest) -> WorkflowResultEvent:
        """The result of a pending request, by its own deadline. Its status may be any: ``raise_for_status()`` judges.

        Raises:
            ResultTimeoutError: none by the request's deadline; the message names id, topic and cursor.
            NotAcceptedError, WorkerSilentError: a clock of the request ran out.
            TransportError: the broker refuses, or the topic does not exist.
            ClaimCheckError: the result is kept in a store, and cannot be had from there.
        """
        return self._waits.wait(pending)

    def _start(self, correlation_id: UUID, now: datetime) -> datetime:
        asked = timestamp_of(correlation_id)
        if asked is None:
            return now - timedelta(seconds=self.settings.look_back)
        return asked - timedelta(seconds=self.settings.clock_margin)

    @property
    def _waits(self) -> SyncWaits:
        from workflow_events.replies.sync_waits import SyncWaits  # noqa: PLC0415 - brings in a Kafka client

        if self._waits_made is None:
            self._waits_made = SyncWaits(self.settings, poll_interval=self.poll_interval)
        return self._waits_made


def _settings(settings: KafkaSettings | None, bootstrap_servers: str | None) -> KafkaSettings:
    from workflow_events.settings import KafkaSettings  # noqa: PLC0415 - DAG files are parsed without it

    if settings is None:
        return KafkaSettings(bootstrap_servers=bootstrap_servers) if bootstrap_servers else KafkaSettings()
    return settings.replace(bootstrap_servers=bootstrap_servers) if bootstrap_servers else settings


def _uuid(value: UUID | str) -> UUID:
    if isinstance(value, UUID):
        return value
    try:
        return UUID(str(value))
    except ValueError:
        raise InvalidEventError(f"A correlation id is a UUID, such as an event's event_id, not {value!r}.") from None

"""What is seen of a run while it goes on: Airflow's task instances over its REST API, requests and results on Kafka."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from kafka import TopicPartition

from workflow_events.errors import InvalidEventError
from workflow_events.transport.blocking import new_consumer
from workflow_events.wire import decode_event, decode_result

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self
    from uuid import UUID

    from workflow_events.events import WorkflowEvent, WorkflowResultEvent
    from workflow_events.settings import KafkaSettings

WAITING = ("none", "scheduled", "queued")
"""States of a task instance that waits for Airflow."""


class TaskKey(NamedTuple):
    """A task instance of one run; ``map_index`` is -1 for one that is not mapped."""

    task_id: str
    map_index: int


@dataclass
class TaskHistory:
    """One task instance: the times that Airflow recorded, and when which state was first seen."""

    seen: list[tuple[datetime, str]] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)
    deferred_at: datetime | None = None
    """When Airflow stored its trigger; its REST API tells only while it is deferred."""

    @property
    def state(self) -> str:
        """Its state when it was last looked at."""
        return self.seen[-1][1] if self.seen else "none"

    def note(self, record: dict[str, Any], now: datetime) -> None:
        """Take in what the REST API says of it."""
        self.record = record
        state = record["state"] or "none"
        if not self.seen or self.state != state:
            self.seen.append((now, state))
        if trigger := record.get("trigger"):
            self.deferred_at = datetime.fromisoformat(trigger["created_date"])

    def time(self, name: str) -> datetime | None:
        """A time that Airflow recorded, such as ``start_date``."""
        value = self.record.get(name)
        return datetime.fromisoformat(value) if value else None

    def resumed_at(self) -> datetime | None:
        """When it was first seen running after it was deferred."""
        states = iter(self.seen)
        for _, state in states:
            if state == "deferred":
                return next((at for at, later in states if later in {"running", "success", "failed"}), None)
        return None


class RunHistory:
    """All task instances of one run."""

    def __init__(self) -> None:
        self.tasks: dict[TaskKey, TaskHistory] = {}

    def note(self, records: list[dict[str, Any]], now: datetime | None = None) -> None:
        """Take in an answer of the REST API."""
        at = now or datetime.now(UTC)
        for record in records:
            self.tasks.setdefault(TaskKey(record["task_id"], record["map_index"]), TaskHistory()).note(record, at)
        # A mapped task stands there once with index -1 until it is known how many there are.
        mapped = {key.task_id for key in self.tasks if key.map_index >= 0}
        for task_id in mapped:
            self.tasks.pop(TaskKey(task_id, -1), None)

    def states(self, task_id: str) -> list[str]:
        """The states of all instances of one task."""
        return [history.state for key, history in self.tasks.items() if key.task_id == task_id]

    def failed(self) -> list[TaskKey]:
        """Which have failed."""
        return [key for key, history in sorted(self.tasks.items()) if history.state == "failed"]


class KafkaWatch:
    """Reads the requests' and the results' topic from their beginning, beside everything else, and only looks.

    It is no member of a group and commits nothing, so nobody notices it.

    Raises:
        TransportError: no broker can be reached.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._consumer = new_consumer(settings)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="kafka-watch", daemon=True)
        self._requests: dict[UUID, WorkflowEvent] = {}
        self._results: dict[UUID, WorkflowResultEvent] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=5.0)
        self._consumer.close()

    def requests(self) -> dict[UUID, WorkflowEvent]:
        """The requests seen so far, by correlation id."""
        with self._lock:
            return dict(self._requests)

    def results(self) -> dict[UUID, WorkflowResultEvent]:
        """The first result seen for each correlation id."""
        with self._lock:
            return dict(self._results)

    def _read(self) -> None:
        topics = (self._settings.workflow_events_topic, self._settings.workflow_results_topic)
        consumer = self._consumer
        partitions = [
            TopicPartition(topic, part) for topic in topics for part in consumer.partitions_for_topic(topic) or ()
        ]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        while not self._stop.is_set():
            for batch in consumer.poll(timeout_ms=250).values():
                for record in batch:
                    self._take(record.topic, record.value)

    def _take(self, topic: str, value: bytes) -> None:
        try:
            if topic == self._settings.workflow_events_topic:
                event = decode_event(value)
                with self._lock:
                    self._requests.setdefault(event.event_id, event)
            else:
                result = decode_result(value)
                with self._lock:
                    self._results.setdefault(result.correlation_id, result)
        except InvalidEventError:
            return  # a stranger's message: not ours to judge here

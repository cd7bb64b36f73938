"""Collects the evidence: reads the topics, asks about the workers' group, and asks the result store.

What cannot be read is noted, and the rest is read all the same; where no broker answers, the store alone is asked.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from workflow_events.dead_letter_log import DeadLetterLog, LetterFilter
from workflow_events.errors import (
    BrokerUnavailableError,
    InvalidEventError,
    TransportError,
    WorkflowEventsError,
)
from workflow_events.events import REQUESTS
from workflow_events.explaining.evidence import Asked, Evidence, Told
from workflow_events.explaining.searching import search, time_of
from workflow_events.progress.beginning import begins_after
from workflow_events.progress.worker_group import ask_for_committed, ask_for_group
from workflow_events.signing import CONTROL_TYPES, PROGRESS_TYPES, REQUEST_TYPES, RESULT_TYPES, Signatures
from workflow_events.wire import decode_event, decode_result, return_address_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from uuid import UUID

    from workflow_events.events import WorkflowEvent, WorkflowResultEvent
    from workflow_events.settings import KafkaSettings

__all__ = ["collect"]

_GROUP_SECONDS = 5.0


def collect(settings: KafkaSettings, correlation_id: UUID) -> Evidence:
    """Everything that can be found of a request now.

    Raises:
        ConfigurationError: the settings do not hold; all else is noted in the evidence.
    """
    now = datetime.now(tz=UTC)
    since = begins_after(correlation_id, now=now, margin=settings.clock_margin, look_back=settings.look_back)
    evidence = Evidence(correlation_id, now, since, settings.workflow_events_topic, store=settings.result_store_url)
    try:
        _read_topics(settings, evidence)
    except BrokerUnavailableError as error:
        evidence.troubles["requests"] = _one_line(error)
    if settings.result_store_url is not None:
        _ask_store(settings, evidence)
    return evidence


def _read_topics(settings: KafkaSettings, evidence: Evidence) -> None:
    reading = _Reading(settings, evidence)
    wanted = LetterFilter(correlation_id=evidence.correlation_id)
    # All at once: most of the time is waited away, a topic at a time.
    with ThreadPoolExecutor(thread_name_prefix="explain") as pool:
        requests = pool.submit(reading.search, settings.workflow_events_topic)
        progress = pool.submit(reading.search, settings.workflow_progress_topic)
        results = pool.submit(reading.search, settings.workflow_results_topic)
        control = pool.submit(reading.search, settings.workflow_control_topic)
        letters = pool.submit(DeadLetterLog(settings).letters, wanted=wanted)
        group = pool.submit(ask_for_group, settings, _GROUP_SECONDS)
        committed = pool.submit(ask_for_committed, settings, _GROUP_SECONDS)
        address = None
        with reading.noting("requests"):
            for record in requests.result():
                evidence.requests.append(reading.asked(record, REQUEST_TYPES))
                address = return_address_in(record.headers) or address
        with reading.noting("progress"):
            evidence.progress += reading.genuine(progress.result(), PROGRESS_TYPES)
        with reading.noting("results"):
            found = results.result()
            if address is not None and address.topic != settings.workflow_results_topic:
                found = [*found, *reading.search(address.topic)]
            evidence.results += [reading.told(record) for record in found]
        with reading.noting("control"):
            evidence.cancels += reading.genuine(control.result(), CONTROL_TYPES)
        with reading.noting("dead letters"):
            evidence.letters += letters.result()
        evidence.group, evidence.committed = group.result(), committed.result()


class _Reading:
    """Reads the topics of one search, and judges what it finds as their readers do."""

    def __init__(self, settings: KafkaSettings, evidence: Evidence) -> None:
        self._settings = settings
        self._evidence = evidence
        self._signatures = Signatures.of(settings)

    @contextmanager
    def noting(self, what: str) -> Iterator[None]:
        """Note why something cannot be read; where no broker answers, nothing can."""
        try:
            yield
        except BrokerUnavailableError:
            raise
        except TransportError as error:
            self._evidence.troubles[what] = _one_line(error)

    def search(self, topic: str) -> list[Any]:
        """What a topic has about the request; called by several threads at once, each with another topic."""
        found = search(self._settings, topic, self._evidence.correlation_id, self._evidence.since)
        if found.forgets:
            self._evidence.forgotten.add(topic)
        return found.records

    def genuine(self, records: Iterable[Any], types: frozenset[bytes]) -> list[Asked]:
        """Those of the messages with which nothing is wrong."""
        return [seen for seen in (self.asked(record, types) for record in records) if seen.event is not None]

    def asked(self, record: Any, types: frozenset[bytes]) -> Asked:
        event: WorkflowEvent | None
        event, problem = self._judged(record, types, decode_event)
        if event is not None and types is REQUEST_TYPES:
            problem = self._no_request(event)
            event = event if problem is None else None
        return Asked(record.topic, record.partition, record.offset, time_of(record), problem, event)

    def told(self, record: Any) -> Told:
        event: WorkflowResultEvent | None
        event, problem = self._judged(record, RESULT_TYPES, decode_result)
        if event is not None and event.correlation_id != self._evidence.correlation_id:
            event, problem = None, "its header names this request, and its body another"
        return Told(record.topic, record.partition, record.offset, time_of(record), problem, event)

    def _no_request(self, event: WorkflowEvent) -> str | None:
        if event.event_type not in REQUESTS:
            return f"an event of type {str(event.event_type)!r} is no request"
        if event.event_id != self._evidence.correlation_id:
            return "its header names this request, and its body another"
        return None

    def _judged(
        self, record: Any, types: frozenset[bytes], decode: Callable[[bytes | None], Any]
    ) -> tuple[Any, str | None]:
        size = len(record.value or b"")
        if size > self._settings.max_read_bytes:
            return None, f"it has {size} bytes, more than KAFKA_MAX_READ_BYTES"
        if self._signatures is not None and not self._signatures.admits(record, types, topic=record.topic):
            return None, "it is not signed with one of the keys in KAFKA_SIGNING_KEYS"
        try:
            return decode(record.value), None
        except InvalidEventError as error:
            return None, _one_line(error)


def _ask_store(settings: KafkaSettings, evidence: Evidence) -> None:
    from workflow_events.stored_results import StoredResults  # noqa: PLC0415 - few have a store
    from workflow_events.stored_runs import result_in  # noqa: PLC0415

    try:
        with StoredResults(settings) as store:
            found = store.run(evidence.correlation_id)
            if found is not None:
                result_in(store.url, found)  # raises where the store cannot give it
            evidence.stored = found
    except WorkflowEventsError as error:
        evidence.troubles["store"] = _one_line(error)


def _one_line(error: WorkflowEventsError) -> str:
    return " ".join(str(error).split()).rstrip(".")

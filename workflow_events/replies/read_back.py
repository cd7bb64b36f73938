"""Reads results by their places in the log, for who was handed a reference instead of the result (pattern: Claim Check)."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from workflow_events.errors import InvalidEventError, ResultUnavailableError
from workflow_events.replies.records import Reply
from workflow_events.replies.sync_log import SyncLog
from workflow_events.retry import transport_retrying
from workflow_events.signing import RESULT_TYPES, Signatures
from workflow_events.transport.timing import Stopwatch
from workflow_events.wire import decode_result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from workflow_events.replies.records import Record, RecordPosition
    from workflow_events.settings import KafkaSettings

__all__ = ["read_back"]

_SKIP_RECORDS = 2000
"""Strangers between two wanted records that are sooner read than jumped over: a jump drops what was fetched ahead."""

_POLL_SECONDS = 1.0
_BEYOND_SECONDS = 2.0
"""How long to look at what lies beyond the log's end: the embedded broker tells as the end where the last batch begins, and
one more."""


def read_back(settings: KafkaSettings, wanted: Mapping[RecordPosition, UUID]) -> dict[RecordPosition, Reply]:
    """The results at places in the log, in one pass over each partition.

    Args:
        settings: where the log is.
        wanted: the places, and which request's result is expected at each.

    Raises:
        ResultUnavailableError: another record, or none, is at one of them now.
        TransportError: the broker cannot be asked within ``request_timeout``.
    """
    return transport_retrying(settings.request_timeout)(_read_back, settings, wanted)


def _read_back(settings: KafkaSettings, wanted: Mapping[RecordPosition, UUID]) -> dict[RecordPosition, Reply]:
    found: dict[RecordPosition, Reply] = {}
    signatures = Signatures.of(settings)
    by_partition: defaultdict[tuple[str, int], list[RecordPosition]] = defaultdict(list)
    for position in sorted(wanted, key=lambda one: one.offset):
        by_partition[position.topic, position.partition].append(position)
    for topic in sorted({topic for topic, _ in by_partition}):
        log = SyncLog(settings, topic)
        try:
            first, end = log.beginning(settings.request_timeout), log.end(settings.request_timeout)
            for (owner, partition), positions in by_partition.items():
                if owner != topic:
                    continue
                start, stop = first.get(partition, 0), end.get(partition, 0)
                there = [position for position in positions if position.offset >= start and partition in end]
                for position, record in _records(log, there, stop, settings.request_timeout):
                    if signatures is not None and not signatures.admits(record, RESULT_TYPES, topic=topic):
                        continue
                    reply = _reply(record, position, wanted[position])
                    if reply is not None:
                        found[position] = reply
                if gone := [position for position in positions if position not in found]:
                    raise _unavailable(gone, wanted[gone[0]], start, stop)
        finally:
            log.disconnect()
    return found


def _records(
    log: SyncLog, positions: Sequence[RecordPosition], stop: int, timeout: float
) -> list[tuple[RecordPosition, Record]]:
    """The records at places of one partition, which are in order; without those that are no more."""
    left = deque(positions)
    found: list[tuple[RecordPosition, Record]] = []
    read_to: int | None = None
    watch = Stopwatch(timeout)
    while left and watch.remaining() > 0:
        partition, offset = left[0].partition, left[0].offset
        if read_to is None or offset - read_to > _SKIP_RECORDS:
            log.read_from({partition: offset}, timeout)
            read_to = offset
            watch = Stopwatch(timeout if offset < stop else min(timeout, _BEYOND_SECONDS))
        for record in log.poll(min(_POLL_SECONDS, watch.remaining())).get(partition, ()):
            while left and left[0].offset < record.offset:
                left.popleft()
            if left and left[0].offset == record.offset:
                found.append((left.popleft(), record))
        # Beyond what a record shows, the client's position also passes markers of transactions.
        before, read_to = read_to, log.position({partition: 0}, timeout)[partition]
        if read_to < before:
            break  # it lay beyond the log's end, and the client went back to the start
        if read_to > before and left:
            watch = Stopwatch(timeout if left[0].offset < stop else min(timeout, _BEYOND_SECONDS))
        while left and left[0].offset < read_to:
            left.popleft()
    return found


def _reply(record: Record, position: RecordPosition, correlation_id: UUID) -> Reply | None:
    """The record as the result of this request, if it is."""
    try:
        event = decode_result(record.value)
    except InvalidEventError:
        return None
    if event.correlation_id != correlation_id:
        return None
    return Reply(event, position, len(record.value or b""))


def _unavailable(gone: Sequence[RecordPosition], correlation_id: UUID, first: int, end: int) -> ResultUnavailableError:
    where = f"{gone[0].topic}[{gone[0].partition}]@{gone[0].offset}"
    others = f" (nor are {len(gone) - 1} others of that partition where they were)" if len(gone) > 1 else ""
    return ResultUnavailableError(
        f"The result of request {correlation_id} is not at {where} any more{others}; the log there runs from {first} to "
        f"{end}. Raise the topic's retention above the time between a result and its use, and ask again."
    )

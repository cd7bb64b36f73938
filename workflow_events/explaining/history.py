"""How far a request has come, as the evidence of all sources together has it. Pure.

The log goes before the store where both tell of the same, for it is what the waiters read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workflow_events.events import EventType, ResultStatus
from workflow_events.stored_runs import result_in

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from workflow_events.events import WorkflowEvent, WorkflowResultEvent
    from workflow_events.explaining.evidence import Asked, Evidence, Told

__all__ = ["Ending", "History", "history_of", "worker_of"]


@dataclass(frozen=True, slots=True)
class Ending:
    """The result that answers the last attempt.

    Attributes:
        where: its place in the log; None where only the store has it.
    """

    event: WorkflowResultEvent
    at: datetime
    where: str | None


@dataclass(frozen=True, slots=True)
class History:
    """The milestones of a request's last attempt; None for those that nothing tells of.

    Attributes:
        attempt: the last one known.
        published: when that attempt was.
        place: partition and offset of its message; None where it is no more in the log.
        heard: when a worker told of it last.
        node: the node that it told of then.
        beats_every: seconds between the worker's heartbeats, as it announced them.
        stale: a result of an earlier attempt that does not answer this one.
    """

    attempt: int = 1
    published: datetime | None = None
    place: tuple[int, int] | None = None
    deadline: datetime | None = None
    accepted: datetime | None = None
    begun: datetime | None = None
    heard: datetime | None = None
    worker: str | None = None
    node: str | None = None
    beats_every: float | None = None
    ending: Ending | None = None
    stale: Told | None = None


def history_of(evidence: Evidence) -> History:
    """Put what was found together."""
    asked = [(seen, seen.event) for seen in evidence.requests if seen.event is not None]
    stored = evidence.stored
    attempt = max([event.attempt for _, event in asked] + [(stored.attempt if stored else None) or 1])
    published, place, deadline = stored.requested_at if stored else None, None, stored.deadline if stored else None
    for seen, event in asked:
        if event.attempt == attempt:
            published, place, deadline = seen.at, (seen.partition, seen.offset), event.deadline
            break
    heard = [(seen, event) for seen, event in _of_attempt(evidence.progress, attempt, published)]
    begun = [seen.at for seen, event in heard if _has_begun(event)]
    ending, stale = _ending_of(evidence, attempt)
    last = heard[-1][1] if heard else None
    return History(
        attempt=attempt,
        published=published,
        place=place,
        deadline=deadline,
        accepted=heard[0][0].at if heard else (stored.accepted_at if stored else None),
        begun=begun[0] if begun else (stored.begun_at if stored else None),
        heard=heard[-1][0].at if heard else (stored.last_heard_at if stored else None),
        worker=(worker_of(last) if last else None) or (stored.worker if stored else None),
        node=_node_of([event for _, event in heard]) or (stored.node if stored else None),
        beats_every=_interval_of(event for _, event in heard) or (stored.heartbeat_interval if stored else None),
        ending=ending,
        stale=stale,
    )


def worker_of(event: WorkflowEvent) -> str | None:
    """The worker that tells, where it gave its name."""
    found = event.payload.data.get("worker")
    return found if isinstance(found, str) else None


def _of_attempt(
    progress: Iterable[Asked], attempt: int, published: datetime | None
) -> Iterable[tuple[Asked, WorkflowEvent]]:
    """What was told of an attempt; an earlier attempt's run that still goes on serves it too."""
    for seen in progress:
        event = seen.event
        if event is not None and (event.attempt >= attempt or (published is not None and seen.at >= published)):
            yield seen, event


def _has_begun(event: WorkflowEvent) -> bool:
    if event.event_type == EventType.WORKFLOW_PROGRESS:
        return True
    return event.event_type == EventType.WORKFLOW_HEARTBEAT and event.payload.data.get("node") is not None


def _node_of(events: list[WorkflowEvent]) -> str | None:
    """The node that ran when the run was heard last."""
    node: str | None = None
    for event in events:
        named = event.payload.data.get("node")
        if event.payload.data.get("kind") == "node_finished":
            node = None if named == node else node
        elif isinstance(named, str):
            node = named
    return node


def _interval_of(events: Iterable[WorkflowEvent]) -> float | None:
    found = None
    for event in events:
        told = event.payload.data.get("heartbeat_interval")
        if isinstance(told, int | float) and not isinstance(told, bool) and told > 0:
            found = float(told)
    return found


def _ending_of(evidence: Evidence, attempt: int) -> tuple[Ending | None, Told | None]:
    """The result that a waiter for the attempt would be given, and the last that it would be refused."""
    stale: Told | None = None
    for seen in evidence.results:
        if seen.event is None:
            continue
        if _answers(seen.event, attempt):
            return Ending(seen.event, seen.at, seen.where), None
        stale = seen
    if evidence.stored is not None and evidence.store is not None:
        found = result_in(evidence.store, evidence.stored)
        if found is not None and _answers(found, attempt):
            return Ending(found, found.timestamp, None), None
    return None, stale


def _answers(event: WorkflowResultEvent, attempt: int) -> bool:
    return event.attempt is None or event.attempt >= attempt or event.status is ResultStatus.SUCCESS

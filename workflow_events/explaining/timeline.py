"""What happened to a request, in order, from all sources. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workflow_events.cli_progress import RunSoFar
from workflow_events.events import EventType
from workflow_events.explaining.history import worker_of

if TYPE_CHECKING:
    from datetime import datetime

    from workflow_events.explaining.evidence import Asked, Evidence
    from workflow_events.stored_runs import StoredStep

__all__ = ["Happening", "timeline_of"]

_STORE = "result store"
_OF_WORKERS = frozenset({"accepted", "run_started", "node_started", "node_finished", "custom"})


class Happening(NamedTuple):
    """One thing that happened.

    Attributes:
        where: the message that tells of it, as ``topic:partition:offset``, or who else does.
    """

    at: datetime
    what: str
    where: str


def timeline_of(evidence: Evidence) -> list[Happening]:
    """Everything that is known to have happened, in the order of its times."""
    found = [
        *_requests(evidence),
        *_progress(evidence.progress),
        *_results(evidence),
        *(Happening(seen.at, "asked to stop", seen.where) for seen in evidence.cancels),
        *_letters(evidence),
        *_stored(evidence),
    ]
    return sorted(found, key=lambda one: one.at)


def _requests(evidence: Evidence) -> list[Happening]:
    found = []
    for seen in evidence.requests:
        if seen.event is None:
            what = f"a message in place of the request: {seen.problem}"
        else:
            kind = "an answer to its question" if seen.event.event_type == EventType.WORKFLOW_RESUME else "published"
            what = f"{kind} for workflow {seen.event.workflow_id!r}, attempt {seen.event.attempt}"
        found.append(Happening(seen.at, what, seen.where))
    return found


def _progress(progress: list[Asked]) -> list[Happening]:
    """What workers told; heartbeats in a row are one line, at the time of the last."""
    found: list[Happening] = []
    runs: dict[tuple[int, str | None], RunSoFar] = {}
    for seen in progress:
        if seen.event is None:
            continue
        run = runs.setdefault((seen.event.attempt, worker_of(seen.event)), RunSoFar())
        line = run.add(seen.event)
        if line is not None:
            found.append(Happening(seen.at, line, seen.where))
            continue
        times = "heartbeat" if run.beats == 1 else f"{run.beats} heartbeats, the last"
        what = f"{times} by {run.worker}" + (f" in node {run.node!r}" if run.node else "")
        if run.beats > 1:
            # Another run's words may stand in between.
            del found[
                max(index for index, one in enumerate(found) if "heartbeat" in one.what and str(run.worker) in one.what)
            ]
        found.append(Happening(seen.at, what, seen.where))
    return found


def _results(evidence: Evidence) -> list[Happening]:
    found = []
    for seen in evidence.results:
        event = seen.event
        if event is None:
            what = f"a message in place of the result: {seen.problem}"
        else:
            attempt = "" if event.attempt is None else f", attempt {event.attempt}"
            what = f"result: {event.status.value}{attempt}" + (f": {event.error}" if event.error else "")
        found.append(Happening(seen.at, what, seen.where))
    return found


def _letters(evidence: Evidence) -> list[Happening]:
    found = []
    for letter in evidence.letters:
        again = ", and replayed since" if letter.replayed else ""
        at = letter.time or evidence.now
        found.append(Happening(at, f"given up ({letter.code}){again}: {letter.reason}", str(letter.position)))
    return found


def _stored(evidence: Evidence) -> list[Happening]:
    """What only the store still knows: of the requests, of what workers told, and of results, where the log has none of these."""
    if evidence.stored is None:
        return []
    there = {"requested": bool(evidence.requests), "result": bool(evidence.results)}
    there |= dict.fromkeys(_OF_WORKERS, bool(evidence.progress))
    return [
        Happening(step.at, _in_words(step), _STORE)
        for step in evidence.stored.timeline
        if not there.get(step.kind, False)
    ]


def _in_words(step: StoredStep) -> str:
    attempt = "" if step.attempt is None else f", attempt {step.attempt}"
    took = "" if step.duration_ms is None else f" in {step.duration_ms / 1000:.1f} s"
    words = {
        "requested": f"published{attempt}",
        "accepted": f"accepted by {step.worker or 'a worker'}",
        "run_started": "run started",
        "node_started": f"{step.node} started",
        "node_finished": f"{step.node} finished{took}",
        "result": f"result: {step.status}{attempt}",
    }
    return words.get(step.kind, f"{step.kind}{f' in {step.node}' if step.node else ''}")

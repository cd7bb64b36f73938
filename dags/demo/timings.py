"""Where a run's time went, from the timestamps that Airflow, the requester and the worker wrote down themselves.

Pure: it is given histories and events, and computes.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from demo.observation import TaskKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from demo.observation import RunHistory
    from workflow_events.events import WorkflowEvent, WorkflowResultEvent


class RequestTimes(NamedTuple):
    """The life of one mapped task, as moments. None: nobody wrote it down."""

    map_index: int
    ready: datetime | None
    """Its upstream task has ended."""
    started: datetime | None
    """Its process runs (``start_date``)."""
    requested: datetime | None
    """It made its request (the event's own timestamp)."""
    deferred: datetime | None
    """Airflow stored its trigger: the worker slot is free."""
    graph_started: datetime | None
    graph_ended: datetime | None
    replied: datetime | None
    """The worker made the result (the event's own timestamp)."""
    rescheduled: datetime | None
    """The scheduler took it up again."""
    resumed: datetime | None
    """It was first seen to run again, or to have ended."""
    ended: datetime | None


class NamedSpan(NamedTuple):
    """A task that is not mapped: since when it waited for Airflow, ran, and had ended."""

    name: str
    ready: datetime | None
    started: datetime | None
    ended: datetime | None


class Stage(NamedTuple):
    """One stage of a request's life, over all requests. Durations are seconds."""

    title: str
    mean: float
    longest: float
    slot: bool
    """Whether a worker slot of Airflow is taken meanwhile."""


_STAGES: tuple[tuple[str, str, str, bool], ...] = (
    ("Airflow: scheduled, queued, process started", "ready", "started", False),
    ("task: DAG read, request published", "started", "requested", True),
    ("Kafka and worker: request taken up", "requested", "graph_started", False),
    ("worker: the graph runs", "graph_started", "graph_ended", False),
    ("worker: result published", "graph_ended", "replied", False),
    ("trigger: result received, deferral settled", "replied", "rescheduled", False),
    ("Airflow: queued, second process started, result taken", "rescheduled", "ended", True),
)


def request_times(
    history: RunHistory,
    requests: Mapping[UUID, WorkflowEvent],
    results: Mapping[UUID, WorkflowResultEvent],
    asked: Sequence[Mapping[str, object]],
    *,
    asking_task: str,
    mapped_task: str,
) -> list[RequestTimes]:
    """Put together what is known of each mapped task.

    Args:
        history: the run's task instances.
        requests: the requests seen on Kafka.
        results: the results seen on Kafka.
        asked: the data of each mapped task's request, in the order of their map indices.
        asking_task: the task which all mapped ones wait for.
        mapped_task: the mapped one.
    """
    upstream = history.tasks.get(TaskKey(asking_task, -1))
    times = []
    for index, data in enumerate(asked):
        task = history.tasks.get(TaskKey(mapped_task, index))
        request = next((event for event in requests.values() if event.payload.data == data), None)
        result = results.get(request.event_id) if request else None
        graph_started = result.started_at if result else None
        duration = timedelta(milliseconds=result.duration_ms) if result and result.duration_ms is not None else None
        times.append(
            RequestTimes(
                map_index=index,
                ready=upstream.time("end_date") if upstream else None,
                started=task.time("start_date") if task else None,
                requested=request.timestamp if request else None,
                deferred=task.deferred_at if task else None,
                graph_started=graph_started,
                graph_ended=graph_started + duration if graph_started and duration is not None else None,
                replied=result.timestamp if result else None,
                rescheduled=task.time("scheduled_when") if task else None,
                resumed=task.resumed_at() if task else None,
                ended=task.time("end_date") if task else None,
            )
        )
    return times


def stages(times: Sequence[RequestTimes]) -> list[Stage]:
    """How long each stage took, on average and at most; a stage that nobody has both ends of is left out."""
    found = []
    for title, begin, end, slot in _STAGES:
        spans = [span for one in times if (span := _between(getattr(one, begin), getattr(one, end))) is not None]
        if spans:
            found.append(Stage(title, sum(spans) / len(spans), max(spans), slot))
    return found


def slot_seconds(times: Sequence[RequestTimes]) -> tuple[float, float]:
    """Seconds that the mapped tasks held a worker slot, and seconds from their start to their end, both summed up.

    A slot is held from a task's start until its trigger is stored, and from its second start on. Where a moment was not
    seen, the slot counts as held.
    """
    held, lived = 0.0, 0.0
    for one in times:
        life = _between(one.started, one.ended) or 0.0
        free = _between(one.deferred, one.resumed) or 0.0
        lived += life
        held += max(0.0, life - free)
    return held, lived


def bar(one: RequestTimes | NamedSpan, begin: datetime, end: datetime, width: int) -> str:
    """One task as a line of ``width`` letters, for :func:`demo.tables.timeline` to draw.

    ``.`` before and after, ``w`` waits for Airflow, ``s`` holds a worker slot, ``d`` is deferred, ``g`` deferred while its
    graph runs.
    """
    changes = [(begin, "."), (one.ready, "w"), (one.started, "s"), (one.ended, ".")]
    if isinstance(one, RequestTimes):
        changes[3:3] = [
            (one.deferred, "d"),
            (one.graph_started, "g"),
            (one.graph_ended, "d"),
            (one.rescheduled, "w"),
            (one.resumed, "s"),
        ]
    known = [(max(moment, begin), letter) for moment, letter in changes if moment is not None]
    total = max((end - begin).total_seconds(), 0.001)
    letters = ["."] * width
    for (moment, letter), (following, _) in pairwise([*known, (end, ".")]):
        first = round((moment - begin).total_seconds() / total * width)
        last = round((following - begin).total_seconds() / total * width)
        # A graph may be done in less than a letter's time, and is what all of this is for.
        for position in range(first, max(last, first + 1) if letter == "g" else last):
            if 0 <= position < width and not (letter != "g" and letters[position] == "g"):
                letters[position] = letter
    return "".join(letters)


def _between(begin: datetime | None, end: datetime | None) -> float | None:
    """Seconds, never less than none: clocks of different processes may be read in the wrong order."""
    if begin is None or end is None:
        return None
    return max(0.0, (end - begin).total_seconds())

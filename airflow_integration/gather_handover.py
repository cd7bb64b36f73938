"""What the trigger of a gather hands to its task, and what either then has of the answers.

As with one result (:mod:`airflow_integration.handover`), small ones travel in the event and large ones as references. Pure: the
read of referenced results is passed in.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from airflow_integration.batch import PackedRequests, unpack
from airflow_integration.handover import (
    TimedOut,
    WentUnheard,
    error_named,
    no_store,
    tell_error,
    told_timeout,
    told_unheard,
)
from workflow_events.errors import GatherTimeoutError, InvalidEventError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from workflow_events.errors import WorkflowEventsError
    from workflow_events.events import WorkflowResultEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.replies.records import RecordPosition, Reply

__all__ = ["GatherHandover", "Gathered", "hand_over_gather_error", "hand_over_replies", "take_over_gathered"]


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of many requests.

    Attributes:
        requests: all of them, in order.
        results: the answer to each; None where none came, or none was waited for.
        timed_out: the deadline came before what was waited for.
    """

    requests: Sequence[PendingRequest]
    results: Sequence[WorkflowResultEvent | None]
    timed_out: GatherTimeoutError | None = None


class GatherHandover(TypedDict, total=False):
    """The event of a gather's trigger. Always ``requests``, and ``answers`` or ``failed``.

    Attributes:
        requests: all of them.
        answers: for each in order the result event as JSON text, or its partition and offset, or None; an empty list stands
            for one that the result store has.
        timed_out: what the reader knew at the deadline, where that came first.
        went_unheard: the clock of the first that is missing, where it was clocks that ended the wait.
        failed: type and message of another error of ours.
    """

    requests: PackedRequests
    answers: list[str | list[int] | None]
    timed_out: TimedOut
    went_unheard: WentUnheard
    failed: dict[str, str]


def hand_over_replies(
    requests: PackedRequests,
    replies: Sequence[Reply | None],
    limit: int,
    timed_out: TimedOut | None = None,
    went_unheard: WentUnheard | None = None,
) -> GatherHandover:
    """What has come: inline as long as the sum stays within ``limit`` bytes, the rest as references."""
    answers: list[str | list[int] | None] = []
    for reply in replies:
        if reply is None:
            answers.append(None)
        elif reply.size <= limit:
            limit -= reply.size
            answers.append(reply.event.model_dump_json(exclude_none=True))
        else:
            answers.append([] if reply.position is None else [reply.position.partition, reply.position.offset])
    handover: GatherHandover = {"requests": requests, "answers": answers}
    if timed_out is not None:
        handover["timed_out"] = timed_out
    if went_unheard is not None:
        handover["went_unheard"] = went_unheard
    return handover


def hand_over_gather_error(requests: PackedRequests, error: WorkflowEventsError) -> GatherHandover:
    """An error, such that the task raises the same one."""
    return {"requests": requests, "failed": tell_error(error)}


def take_over_gathered(
    handover: GatherHandover,
    read: Callable[[Mapping[RecordPosition, UUID]], Mapping[RecordPosition, WorkflowResultEvent]],
    read_stored: Callable[[PendingRequest], WorkflowResultEvent] = no_store,
) -> Gathered:
    """The results that an event holds or refers to.

    Args:
        read: fetches referenced results from the log, all at once.
        read_stored: fetches one from the result store.

    Raises:
        WorkflowEventsError: the error that the trigger met.
    """
    if "requests" not in (handover or {}):
        raise InvalidEventError(
            f"The trigger's event is not one of WorkflowGatherTrigger's: {type(handover).__name__}."
        )
    if "answers" not in handover:
        failed = handover.get("failed") or {"type": "", "message": "the trigger's event says nothing"}
        raise error_named(failed["type"])(failed["message"])
    requests = unpack(handover["requests"])
    results = _results(handover["answers"], requests, read, read_stored)
    timed_out = None
    if "timed_out" in handover:
        missing = [request for request, result in zip(requests, results, strict=True) if result is None]
        timed_out = GatherTimeoutError(missing, results, **told_timeout(handover["timed_out"]))
        if "went_unheard" in handover:
            timed_out.__cause__ = told_unheard(missing[0], handover["went_unheard"])
    return Gathered(requests, results, timed_out)


def _results(
    answers: Sequence[str | list[int] | None],
    requests: Sequence[PendingRequest],
    read: Callable[[Mapping[RecordPosition, UUID]], Mapping[RecordPosition, WorkflowResultEvent]],
    read_stored: Callable[[PendingRequest], WorkflowResultEvent],
) -> list[WorkflowResultEvent | None]:
    from workflow_events.events import WorkflowResultEvent  # noqa: PLC0415
    from workflow_events.replies.records import RecordPosition  # noqa: PLC0415

    results: list[WorkflowResultEvent | None] = [None] * len(requests)
    elsewhere: dict[int, RecordPosition] = {}
    for index, answer in enumerate(answers):
        if isinstance(answer, str):
            results[index] = WorkflowResultEvent.model_validate(json.loads(answer))
        elif answer == []:
            results[index] = read_stored(requests[index])
        elif answer is not None:
            partition, offset = answer
            elsewhere[index] = RecordPosition(requests[index].reply_topic, partition, offset)
    if elsewhere:
        found = read({position: requests[index].correlation_id for index, position in elsewhere.items()})
        for index, position in elsewhere.items():
            results[index] = found[position]
    return results

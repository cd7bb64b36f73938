"""How a run ends, and the result event that says so."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langgraph_integration.error_details import describe_error, message_of, shown_message
from langgraph_integration.errors import RunCancelledError, UnserializableError, WorkflowFailure
from langgraph_integration.result_node import RESULT_CHANNEL
from langgraph_integration.serialization import to_plain_json, to_plain_object
from langgraph_integration.token_usage import token_usage
from workflow_events.events import ErrorDetail, ResultStatus, WorkflowEvent, WorkflowResultEvent

if TYPE_CHECKING:
    from datetime import datetime

    from langgraph.pregel import Pregel
    from langgraph.types import StateSnapshot

    from langgraph_integration.cancellations import Cancel
    from langgraph_integration.error_policy import ErrorPolicy

    Graph = Pregel[Any, Any, Any, Any]

__all__ = [
    "Outcome",
    "cancelled_at",
    "checkpoint_id_of",
    "failed",
    "finished",
    "interrupted",
    "output_keys",
    "refused",
    "result_of",
    "succeeded",
    "thread_of",
]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended; the part of the result event that is not copied from the request."""

    status: ResultStatus
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    detail: ErrorDetail | None = None
    interrupts: list[dict[str, Any]] | None = None
    checkpoint_id: str | None = None
    usage: dict[str, Any] | None = None


def thread_of(event: WorkflowEvent) -> str:
    """The LangGraph thread that a request runs on: the one it names, else one of its own."""
    return event.thread_id or str(event.event_id)


def result_of(event: WorkflowEvent, outcome: Outcome, started_at: datetime, began: float) -> WorkflowResultEvent:
    """The result event of a request: what is copied from the request, and how its run ended."""
    return WorkflowResultEvent(
        correlation_id=event.event_id,
        workflow_id=event.workflow_id,
        workflow_run_id=event.workflow_run_id,
        result=dict(outcome.result),
        status=outcome.status,
        error=outcome.error,
        error_detail=outcome.detail,
        attempt=event.attempt,
        thread_id=thread_of(event),
        checkpoint_id=outcome.checkpoint_id,
        interrupts=outcome.interrupts,
        usage=outcome.usage,
        started_at=started_at,
        duration_ms=round((time.perf_counter() - began) * 1000, 3),
    )


def output_keys(graph: Graph) -> str | Sequence[str]:
    """What to ask of a run: the graph's output, and what the result node recorded."""
    output = graph.output_channels
    if isinstance(output, str) or RESULT_CHANNEL not in graph.channels or RESULT_CHANNEL in output:
        return output
    return [*output, RESULT_CHANNEL]


def _output_of(graph: Graph, values: object) -> object:
    """The part of a checkpoint's values that a run would have returned."""
    keys = output_keys(graph)
    if isinstance(keys, str):
        # A graph over one channel has that channel's value for its values; a functional one with two has both.
        return values.get(keys) if isinstance(values, dict) and graph.stream_channels_asis != keys else values
    return {key: values[key] for key in keys if key in values} if isinstance(values, dict) else values


def checkpoint_id_of(snapshot: StateSnapshot) -> str | None:
    """The id of the checkpoint that a snapshot shows; None where there is none yet."""
    found: str | None = snapshot.config["configurable"].get("checkpoint_id")
    return found


def finished(graph: Graph, snapshot: StateSnapshot, earlier: object) -> Outcome:
    """A run that has come to its end; ``earlier`` is what its thread held before, whose tokens are not counted."""
    return succeeded(
        _output_of(graph, snapshot.values),
        checkpoint_id=checkpoint_id_of(snapshot),
        usage=token_usage(snapshot.values, earlier),
    )


def succeeded(output: object, *, checkpoint_id: str | None = None, usage: dict[str, Any] | None) -> Outcome:
    """A run that returned ``output``, or recorded a result in it."""
    recorded = output.get(RESULT_CHANNEL) if isinstance(output, dict) else None
    return Outcome(
        ResultStatus.SUCCESS,
        result=recorded if recorded is not None else to_plain_object(output),
        checkpoint_id=checkpoint_id,
        usage=usage,
    )


def interrupted(snapshot: StateSnapshot, *, checkpoint_id: str | None, usage: dict[str, Any] | None) -> Outcome:
    """A run that waits for an answer, with its questions.

    Raises:
        UnserializableError: a question has no plain JSON form.
    """
    waiting = [task for task in snapshot.tasks if task.result is None] or list(snapshot.tasks)
    interrupts: list[dict[str, Any]] = []
    for task in waiting:
        for interrupt in task.interrupts:
            name = f"interrupts[{len(interrupts)}].value"
            interrupts.append(
                {"id": interrupt.id, "node": task.name, "value": to_plain_json(interrupt.value, name=name)}
            )
        if not task.interrupts:  # a breakpoint: no question, only a place
            interrupts.append({"node": task.name})
    nodes = ", ".join(dict.fromkeys(repr(task.name) for task in waiting))
    return Outcome(
        ResultStatus.INTERRUPTED,
        error=f"The run waits for an answer at node {nodes}",
        interrupts=interrupts,
        checkpoint_id=checkpoint_id,
        usage=usage,
    )


def refused(failure: WorkflowFailure, policy: ErrorPolicy) -> Outcome:
    """A workflow that ran and says no, with its findings."""
    try:
        result = to_plain_object(failure.result)
    except UnserializableError as error:
        return failed(error, policy)
    detail = describe_error(failure, policy)
    return Outcome(ResultStatus.FAILURE, result=result, error=message_of(failure), detail=detail)


def cancelled_at(cancel: Cancel, *, checkpoint_id: str | None = None) -> Outcome:
    """A request that was cancelled; its run can go on from ``checkpoint_id``."""
    error = RunCancelledError(f"The request was cancelled: {cancel.reason or 'no reason was given'}")
    return Outcome(
        ResultStatus.CANCELLED, error=message_of(error), detail=describe_error(error), checkpoint_id=checkpoint_id
    )


def failed(error: Exception, policy: ErrorPolicy) -> Outcome:
    """A run that broke, as far as its requester may know."""
    return Outcome(ResultStatus.ERROR, error=shown_message(error, policy), detail=describe_error(error, policy))

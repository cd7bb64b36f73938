"""One request in, exactly one result out, whatever the graph does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from langchain_core.runnables.config import merge_configs
from langgraph.checkpoint.base import BaseCheckpointSaver

from langgraph_integration.error_details import describe_error, keeps_something_back, message_of, shown_message
from langgraph_integration.error_policy import DEFAULT_POLICY, ErrorPolicy
from langgraph_integration.errors import (
    DeadlineExceededError,
    NotResumableError,
    RunTimeoutError,
    UnserializableError,
    WorkflowFailure,
)
from langgraph_integration.result_node import RESULT_CHANNEL
from langgraph_integration.resumption import CORRELATION_ID_KEY, WhatToDo, is_finished, stand_of
from langgraph_integration.serialization import to_plain_json, to_plain_object
from langgraph_integration.token_usage import token_usage
from workflow_events.events import ErrorDetail, ResultStatus, WorkflowEvent, WorkflowResultEvent

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.pregel import Pregel
    from langgraph.types import StateSnapshot

    from langgraph_integration.graph_registry import RegisteredGraph

    Graph = Pregel[Any, Any, Any, Any]

__all__ = ["GraphRunner", "thread_of"]

log = logging.getLogger(__name__)

_INTERRUPTS = "__interrupt__"  # where LangGraph puts them in a run's output


def thread_of(event: WorkflowEvent) -> str:
    """The LangGraph thread that a request runs on: the one it names, else one of its own."""
    return event.thread_id or str(event.event_id)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a run ended; the part of the result event that is not copied from the request."""

    status: ResultStatus
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    detail: ErrorDetail | None = None
    interrupts: list[dict[str, Any]] | None = None
    checkpoint_id: str | None = None
    usage: dict[str, Any] | None = None


class GraphRunner:
    """Runs graphs for requests.

    Args:
        choose: the graph for a request; it may raise, and the request is answered with the error.
        run_timeout: seconds that one run may take; None: no limit. An async node is cancelled at the limit. A sync node
            cannot be: its thread runs on, and what it returns is dropped.
        recursion_limit: supersteps that one run may take; None: the graph's own, or LangGraph's default.
        config: what every run's config begins with, such as callbacks.
        error_policy: which errors are worth another try, and whose messages may leave the worker.
        now: the clock that deadlines are read by.
    """

    def __init__(
        self,
        choose: Callable[[WorkflowEvent], RegisteredGraph],
        *,
        run_timeout: float | None = None,
        recursion_limit: int | None = None,
        config: RunnableConfig | None = None,
        error_policy: ErrorPolicy = DEFAULT_POLICY,
        now: Callable[[], datetime] = lambda: datetime.now(tz=UTC),
    ) -> None:
        self.choose = choose
        self.run_timeout = run_timeout
        self.recursion_limit = recursion_limit
        self.config = config
        self.error_policy = error_policy
        self._now = now

    async def answer(self, event: WorkflowEvent) -> WorkflowResultEvent:
        """The one result of a request. Nothing but a cancellation of this call gets out of it."""
        started_at = self._now()
        began = time.perf_counter()
        try:
            outcome = await self._run(event, started_at)
        except WorkflowFailure as failure:
            self._log_what_is_kept_back(event, failure)
            outcome = _refused(failure, self.error_policy)
        except Exception as error:  # noqa: BLE001 - whatever a graph raises is the requester's to know
            self._log_what_is_kept_back(event, error)
            outcome = _failed(error, self.error_policy)
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

    async def _run(self, event: WorkflowEvent, now: datetime) -> _Outcome:
        if event.deadline is not None and event.deadline <= now:
            raise DeadlineExceededError(
                f"The request's deadline {event.deadline.isoformat()} had passed when its turn came, at {now.isoformat()}"
            )
        chosen = self.choose(event)
        config = self._config(event)
        limit = asyncio.timeout(self.run_timeout)
        try:
            async with limit, chosen.open(config) as graph:
                return await _run_graph(graph, event, config)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise RunTimeoutError(f"The run took longer than {self.run_timeout:g} s") from error

    def _log_what_is_kept_back(self, event: WorkflowEvent, error: Exception) -> None:
        if keeps_something_back(error, self.error_policy):
            log.error("Request %s failed, and its requester is not told all of this", event.event_id, exc_info=error)

    def _config(self, event: WorkflowEvent) -> RunnableConfig:
        config: RunnableConfig = {
            "configurable": {"thread_id": thread_of(event)},
            # Kept with every checkpoint. The key run_id stays out of both: LangGraph takes a second input under the same
            # run_id for a resumption.
            "metadata": {
                CORRELATION_ID_KEY: str(event.event_id),
                "workflow_id": event.workflow_id,
                "workflow_run_id": event.workflow_run_id,
                "attempt": event.attempt,
            },
        }
        if self.recursion_limit is not None:
            config["recursion_limit"] = self.recursion_limit
        return config if self.config is None else merge_configs(self.config, config)


async def _run_graph(graph: Graph, event: WorkflowEvent, config: RunnableConfig) -> _Outcome:
    if isinstance(graph.checkpointer, BaseCheckpointSaver):
        return await _run_with_checkpoints(graph, event, config)
    output = await graph.ainvoke(event.payload.data, config, output_keys=_output_keys(graph))
    if isinstance(output, dict) and output.get(_INTERRUPTS):
        raise NotResumableError(
            "The graph stopped to ask a question, and has no checkpointer to go on from: set WORKFLOW_WORKER_CHECKPOINTER"
        )
    return _succeeded(output, usage=token_usage(output))


async def _run_with_checkpoints(graph: Graph, event: WorkflowEvent, config: RunnableConfig) -> _Outcome:
    standing = await stand_of(graph, config, str(event.event_id))
    snapshot = standing.snapshot
    earlier: object = None
    if standing.what_to_do is not WhatToDo.ANSWER:
        going_on = standing.what_to_do is WhatToDo.GO_ON
        earlier = None if going_on else snapshot.values
        await graph.ainvoke(
            None if going_on else event.payload.data,
            config,
            output_keys=_output_keys(graph),
            durability="sync",  # each step is stored before the next begins, so that kill -9 loses no finished node
        )
        snapshot = await graph.aget_state(config)
    checkpoint_id = snapshot.config["configurable"].get("checkpoint_id")
    usage = token_usage(snapshot.values, earlier)
    if is_finished(snapshot):
        return _succeeded(_output_of(graph, snapshot.values), checkpoint_id=checkpoint_id, usage=usage)
    return _interrupted(snapshot, checkpoint_id=checkpoint_id, usage=usage)


def _output_keys(graph: Graph) -> str | Sequence[str]:
    """What to ask of a run: the graph's output, and what the result node recorded."""
    output = graph.output_channels
    if isinstance(output, str) or RESULT_CHANNEL not in graph.channels or RESULT_CHANNEL in output:
        return output
    return [*output, RESULT_CHANNEL]


def _output_of(graph: Graph, values: object) -> object:
    """The part of a checkpoint's values that a run would have returned."""
    keys = _output_keys(graph)
    if isinstance(keys, str):
        # A graph over one channel has that channel's value for its values; a functional one with two has both.
        return values.get(keys) if isinstance(values, dict) and graph.stream_channels_asis != keys else values
    return {key: values[key] for key in keys if key in values} if isinstance(values, dict) else values


def _succeeded(output: object, *, checkpoint_id: str | None = None, usage: dict[str, Any] | None) -> _Outcome:
    recorded = output.get(RESULT_CHANNEL) if isinstance(output, dict) else None
    return _Outcome(
        ResultStatus.SUCCESS,
        result=recorded if recorded is not None else to_plain_object(output),
        checkpoint_id=checkpoint_id,
        usage=usage,
    )


def _interrupted(snapshot: StateSnapshot, *, checkpoint_id: str | None, usage: dict[str, Any] | None) -> _Outcome:
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
    return _Outcome(
        ResultStatus.INTERRUPTED,
        error=f"The run waits for an answer at node {nodes}",
        interrupts=interrupts,
        checkpoint_id=checkpoint_id,
        usage=usage,
    )


def _refused(failure: WorkflowFailure, policy: ErrorPolicy) -> _Outcome:
    try:
        result = to_plain_object(failure.result)
    except UnserializableError as error:
        return _failed(error, policy)
    detail = describe_error(failure, policy)
    return _Outcome(ResultStatus.FAILURE, result=result, error=message_of(failure), detail=detail)


def _failed(error: Exception, policy: ErrorPolicy) -> _Outcome:
    return _Outcome(ResultStatus.ERROR, error=shown_message(error, policy), detail=describe_error(error, policy))

"""One request in, exactly one result out, whatever the graph does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from langchain_core.runnables.config import merge_configs
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphDrained

from langgraph_integration.error_details import keeps_something_back
from langgraph_integration.error_policy import DEFAULT_POLICY, ErrorPolicy
from langgraph_integration.errors import (
    DeadlineExceededError,
    NotResumableError,
    RunTimeoutError,
    WorkflowFailure,
)
from langgraph_integration.graph_stream import run_observed
from langgraph_integration.outcomes import (
    Outcome,
    cancelled_at,
    checkpoint_id_of,
    failed,
    finished,
    interrupted,
    output_keys,
    refused,
    result_of,
    succeeded,
    thread_of,
)
from langgraph_integration.resuming import ROOT_KEY, plan_of, read_resume, root_of
from langgraph_integration.resumption import CORRELATION_ID_KEY, WhatToDo, is_finished, stand_of
from langgraph_integration.supervision import Supervision
from langgraph_integration.token_usage import token_usage

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.pregel import Pregel
    from langgraph.types import Durability

    from langgraph_integration.cancellations import Cancel
    from langgraph_integration.graph_registry import RegisteredGraph
    from workflow_events.events import WorkflowEvent, WorkflowResultEvent

    Graph = Pregel[Any, Any, Any, Any]

__all__ = ["GraphRunner", "HandedOverError", "cancelled", "thread_of"]

log = logging.getLogger(__name__)

_INTERRUPTS = "__interrupt__"  # where LangGraph puts them in a run's output
_LOOK_UP_PATIENCE = 1.0  # seconds to find the checkpoint of a cancelled run in
_ALONE = Supervision()


class HandedOverError(Exception):
    """The run stopped between two supersteps because it was asked to; its checkpoint is where another worker goes on."""


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
        take_payload: brings a request's data where they are kept in a store; what it raises is the request's answer.
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
        take_payload: Callable[[WorkflowEvent], Awaitable[WorkflowEvent]] | None = None,
    ) -> None:
        self.choose = choose
        self.run_timeout = run_timeout
        self.recursion_limit = recursion_limit
        self.config = config
        self.error_policy = error_policy
        self._now = now
        self._take_payload = take_payload

    async def answer(self, event: WorkflowEvent, supervision: Supervision = _ALONE) -> WorkflowResultEvent:
        """The one result of a request. Nothing else gets out of it but a cancellation of this call, and a hand-over.

        Args:
            event: the request.
            supervision: who hears of the run, and what may end it early.

        Raises:
            HandedOverError: the run was asked to stop for another worker to go on with, and has.
        """
        started_at = self._now()
        began = time.perf_counter()
        try:
            outcome = await self._run(event, started_at, supervision)
        except WorkflowFailure as failure:
            self._log_what_is_kept_back(event, failure)
            outcome = refused(failure, self.error_policy)
        except Exception as error:
            if isinstance(error, GraphDrained) and supervision.hand_over.asked:
                raise HandedOverError(str(error)) from error
            # Whatever a graph raises is the requester's to know.
            self._log_what_is_kept_back(event, error)
            outcome = failed(error, self.error_policy)
        return result_of(event, outcome, started_at, began)

    async def _run(self, event: WorkflowEvent, now: datetime, supervision: Supervision) -> Outcome:
        cancellation = supervision.cancellation
        known = cancellation.asked if cancellation is not None else None
        if known is None and event.deadline is not None and event.deadline <= now:
            raise DeadlineExceededError(
                f"The request's deadline {event.deadline.isoformat()} had passed when its turn came, at {now.isoformat()}"
            )
        chosen = self.choose(event)
        if event.claim_check is not None and self._take_payload is not None:
            event = await self._take_payload(event)
        config = self._config(event)
        limit = asyncio.timeout(self.run_timeout)
        try:
            async with limit, chosen.open(config) as graph:
                if known is not None:
                    return await _stopped(graph, event, config, known)
                try:
                    return await _run_graph(graph, event, config, supervision)
                except asyncio.CancelledError:
                    if cancellation is None or not cancellation.absorbed() or cancellation.asked is None:
                        raise
                return await _stopped(graph, event, config, cancellation.asked)
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
                ROOT_KEY: root_of(event),
                "workflow_id": event.workflow_id,
                "workflow_run_id": event.workflow_run_id,
                "attempt": event.attempt,
            },
        }
        if self.recursion_limit is not None:
            config["recursion_limit"] = self.recursion_limit
        return config if self.config is None else merge_configs(self.config, config)


def cancelled(event: WorkflowEvent, cancel: Cancel) -> WorkflowResultEvent:
    """The result of a request that was cancelled before its turn came."""
    return result_of(event, cancelled_at(cancel), datetime.now(tz=UTC), time.perf_counter())


async def _run_graph(graph: Graph, event: WorkflowEvent, config: RunnableConfig, supervision: Supervision) -> Outcome:
    if isinstance(graph.checkpointer, BaseCheckpointSaver):
        return await _run_with_checkpoints(graph, event, config, supervision)
    if read_resume(event) is not None:
        raise NotResumableError("The graph has no checkpointer, so no run of it waits for an answer")
    if supervision.observer is not None:
        supervision.observer.run_started(resumed=False)
    output = await _invoke(graph, event.payload.data, config, supervision)
    if isinstance(output, dict) and output.get(_INTERRUPTS):
        raise NotResumableError(
            "The graph stopped to ask a question, and has no checkpointer to go on from: set WORKFLOW_WORKER_CHECKPOINTER"
        )
    return succeeded(output, usage=token_usage(output))


async def _run_with_checkpoints(
    graph: Graph, event: WorkflowEvent, config: RunnableConfig, supervision: Supervision
) -> Outcome:
    plan = await plan_of(graph, config, event)
    standing, snapshot = plan.standing, plan.standing.snapshot
    earlier: object = None
    if standing.what_to_do is not WhatToDo.ANSWER:
        going_on = standing.what_to_do is WhatToDo.GO_ON
        earlier = None if going_on else snapshot.values
        if supervision.observer is not None:
            supervision.observer.run_started(resumed=going_on or plan.goes_on)
        await _invoke(
            graph,
            None if going_on else plan.given,
            config,
            supervision,
            durability="sync",  # each step is stored before the next begins, so that kill -9 loses no finished node
            done=[task.id for task in snapshot.tasks if task.result is not None] if going_on or plan.goes_on else (),
        )
        snapshot = await graph.aget_state(config)
    if is_finished(snapshot):
        return finished(graph, snapshot, earlier)
    return interrupted(snapshot, checkpoint_id=checkpoint_id_of(snapshot), usage=token_usage(snapshot.values, earlier))


async def _invoke(
    graph: Graph,
    data: object,
    config: RunnableConfig,
    supervision: Supervision,
    *,
    durability: Durability | None = None,
    done: Sequence[str] = (),
) -> Any:
    # A run whose checkpoints die with the process, or that has none, is not handed over: it would begin anew.
    durable = isinstance(graph.checkpointer, BaseCheckpointSaver) and not isinstance(graph.checkpointer, InMemorySaver)
    control = supervision.hand_over.control if durable else None
    keys = output_keys(graph)
    if supervision.observer is None:
        return await graph.ainvoke(data, config, output_keys=keys, durability=durability, control=control)
    return await run_observed(
        graph,
        data,
        config,
        supervision.observer,
        output_keys=keys,
        durability=durability,
        control=control,
        done=done,
    )


async def _stopped(graph: Graph, event: WorkflowEvent, config: RunnableConfig, cancel: Cancel) -> Outcome:
    """The outcome of a request that was cancelled, before or in its run; a success where the run had come to its end."""
    if not isinstance(graph.checkpointer, BaseCheckpointSaver):
        return cancelled_at(cancel)
    try:
        async with asyncio.timeout(_LOOK_UP_PATIENCE):
            standing = await stand_of(graph, config, str(event.event_id))
    except Exception:  # noqa: BLE001 - the run is stopped whether or not its checkpoint can be named
        return cancelled_at(cancel)
    if standing.what_to_do is WhatToDo.ANSWER and is_finished(standing.snapshot):
        return finished(graph, standing.snapshot, None)
    known = standing.what_to_do is not WhatToDo.RUN
    return cancelled_at(cancel, checkpoint_id=checkpoint_id_of(standing.snapshot) if known else None)

"""Runs that are cancelled, or handed over to another worker: what is answered, and where they go on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from langgraph_integration.cancellations import Cancel, Cancellations
from langgraph_integration.execution import GraphRunner, HandedOverError
from langgraph_integration.graph_registry import GraphRegistry
from langgraph_integration.supervision import HandOver, Supervision
from tests.unit.worker.running import Heard, State, add, line, request, watched
from workflow_events import ResultStatus, WorkflowEvent, WorkflowResultEvent


class Steps:
    """``add``, then ``wait``, which waits at a gate; and a count of what ran."""

    def __init__(self, saver: Any = None) -> None:
        self.ran: list[str] = []
        self.waits = asyncio.Event()
        self.gate = asyncio.Event()
        self.cleaned_up = False

        async def first(state: State) -> State:
            self.ran.append("first")
            return {"n": state["n"] + 1}

        async def wait(state: State) -> State:
            self.waits.set()
            try:
                await self.gate.wait()
            finally:
                self.cleaned_up = True
            self.ran.append("wait")
            return {"n": state["n"] * 2}

        async def last(state: State) -> State:
            self.ran.append("last")
            return {"n": state["n"] + 100}

        self.graph = line(first, wait, last).compile(checkpointer=saver)


async def cancellable(graph: object, event: WorkflowEvent, cancellations: Cancellations) -> WorkflowResultEvent:
    async with GraphRegistry({"g": graph}) as graphs:
        with cancellations.watching(event) as cancellation:
            return await GraphRunner(graphs.choose).answer(event, Supervision(Heard(), cancellation))


async def test_a_cancelled_run_stops_and_its_next_attempt_goes_on() -> None:
    # Given a run in its second node
    steps, event, cancellations = Steps(InMemorySaver()), request(), Cancellations()
    run = asyncio.create_task(cancellable(steps.graph, event, cancellations))
    await steps.waits.wait()
    # When it is cancelled
    assert cancellations.add(Cancel(event.event_id, 1, "marked as failed")) == 1
    result = await run
    # Then the node was stopped, and the result says why and where it can go on
    assert steps.cleaned_up
    assert (result.status, result.error) == (ResultStatus.CANCELLED, "The request was cancelled: marked as failed")
    assert result.error_detail is not None
    assert (result.error_detail.type, result.error_detail.retryable) == ("Cancelled", False)
    assert result.checkpoint_id is not None
    # And the next attempt, which the cancel does not mean, goes on there
    steps.gate.set()
    again = await cancellable(steps.graph, event.model_copy(update={"attempt": 2}), cancellations)
    assert (again.status, again.result) == (ResultStatus.SUCCESS, {"n": 104})
    assert steps.ran == ["first", "wait", "last"]


@pytest.mark.parametrize("saver", [None, InMemorySaver()])
async def test_a_request_whose_cancel_came_first_runs_nothing(saver: Any) -> None:
    steps, event, cancellations = Steps(saver), request(), Cancellations()
    cancellations.add(Cancel(event.event_id, 1))
    result = await cancellable(steps.graph, event, cancellations)
    assert (result.status, result.checkpoint_id) == (ResultStatus.CANCELLED, None)
    assert steps.ran == []


async def test_a_finished_request_stays_finished_whatever_cancel_comes() -> None:
    graph, event, cancellations = line(add).compile(checkpointer=InMemorySaver()), request(), Cancellations()
    await cancellable(graph, event, cancellations)
    cancellations.add(Cancel(event.event_id, 1))
    result = await cancellable(graph, event, cancellations)
    assert (result.status, result.result) == (ResultStatus.SUCCESS, {"n": 2})


async def test_a_run_that_is_to_be_handed_over_ends_its_step_and_the_next_worker_begins_none_again(
    tmp_path: Path,
) -> None:
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
        # Given a run in its second node, and a worker that is to stop
        steps, event, hand_over = Steps(saver), request(), HandOver()
        run = asyncio.create_task(watched(steps.graph, Heard(), event, hand_over))
        await steps.waits.wait()
        hand_over.ask()
        # When the node ends, then so does the run, without an answer
        steps.gate.set()
        with pytest.raises(HandedOverError):
            await run
        assert steps.ran == ["first", "wait"]
        # And the next worker runs the rest
        result = await watched(steps.graph, Heard(), event)
        assert result.result == {"n": 104}
        assert steps.ran == ["first", "wait", "last"]


async def test_a_run_in_its_last_step_is_answered_and_not_handed_over(tmp_path: Path) -> None:
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
        hand_over = HandOver()

        def stop_here(state: State) -> State:
            hand_over.ask()
            return {"n": 5}

        graph = line(stop_here).compile(checkpointer=saver)
        assert (await watched(graph, None, request(), hand_over)).result == {"n": 5}


@pytest.mark.parametrize("saver", [None, InMemorySaver()])
async def test_a_run_without_lasting_checkpoints_goes_on_to_its_end(saver: Any) -> None:
    steps, hand_over = Steps(saver), HandOver()
    hand_over.ask()
    steps.gate.set()
    assert (await watched(steps.graph, Heard(), request(), hand_over)).result == {"n": 104}


async def test_a_graph_that_drains_itself_is_answered(tmp_path: Path) -> None:
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:

        def give_up(state: State, runtime: Any) -> State:
            runtime.control.request_drain("tired")
            return {"n": 1}

        give_up.__annotations__.pop("runtime")
        result = await watched(line(give_up, add).compile(checkpointer=saver), None)
        assert result.status is ResultStatus.ERROR
        assert "tired" in (result.error or "")

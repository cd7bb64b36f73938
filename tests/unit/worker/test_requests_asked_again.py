"""A request that was here before, and a thread that has had others: what is run again, and what is not."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import interrupt

from langgraph_integration import publish_result_node
from tests.unit.worker.running import State, add, answer, line, request
from workflow_events import ResultStatus


class Ledger:
    """Counts how often each node ran; a node can be told to fail."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.fail_in: str | None = None

    def graph(self, saver: Any, **options: Any) -> Any:
        def node(name: str) -> Any:
            def run(state: State) -> State:
                if self.fail_in == name:
                    raise ConnectionError(f"{name} is down")
                self.ran.append(name)
                return {"n": state["n"] + 1}

            run.__name__ = name
            return run

        builder = publish_result_node(line(node("a"), node("b"), node("c")), select="n")
        return builder.compile(checkpointer=saver, **options)


async def test_a_finished_request_is_answered_from_its_checkpoint() -> None:
    ledger = Ledger()
    graph, event = ledger.graph(InMemorySaver()), request()
    first, again = await answer(graph, event), await answer(graph, event)
    assert ledger.ran == ["a", "b", "c"]
    assert again.status is ResultStatus.SUCCESS
    assert (again.result, again.checkpoint_id) == (first.result, first.checkpoint_id)


async def test_a_broken_request_goes_on_where_it_broke() -> None:
    # Given a run that broke in its second node
    ledger = Ledger()
    graph, event = ledger.graph(InMemorySaver()), request()
    ledger.fail_in = "b"
    assert (await answer(graph, event)).status is ResultStatus.ERROR
    # When it is asked again, as a next attempt
    ledger.fail_in = None
    result = await answer(graph, event.model_copy(update={"attempt": 2}))
    # Then the node that had finished did not run again
    assert (result.status, result.result, result.attempt) == (ResultStatus.SUCCESS, {"n": 4}, 2)
    assert ledger.ran == ["a", "b", "c"]


class DyingSaver(InMemorySaver):
    """Dies, as its process would, before it stores the checkpoint of one step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.dies_at: int | None = step

    async def aput(self, config: Any, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: Any) -> Any:
        if metadata.get("step") == self.dies_at:
            raise OSError("the process is gone")
        return await super().aput(config, checkpoint, metadata, new_versions)


@pytest.mark.parametrize("step", range(-1, 5))
async def test_a_worker_that_died_at_any_step_has_its_run_gone_on_with(step: int) -> None:
    # Given a run whose process died between a node's end and the step's checkpoint
    ledger, saver = Ledger(), DyingSaver(step)
    graph, event = ledger.graph(saver), request()
    await answer(graph, event)
    # When the request is delivered again
    saver.dies_at = None
    result = await answer(graph, event)
    # Then it is answered in full, and what had been stored did not run again
    assert (result.status, result.result) == (ResultStatus.SUCCESS, {"n": 4})
    assert ledger.ran == ["a", "b", "c"]


async def test_a_thread_goes_on_with_a_new_request() -> None:
    ledger = Ledger()
    graph = ledger.graph(InMemorySaver())
    results = [await answer(graph, request({"n": n}, thread_id="t")) for n in (1, 10)]
    assert [result.result for result in results] == [{"n": 4}, {"n": 13}]


async def test_an_earlier_request_of_a_thread_is_answered_with_its_own_result() -> None:
    # Given a thread that has gone on with a second request
    ledger = Ledger()
    graph, first = ledger.graph(InMemorySaver()), request({"n": 1}, thread_id="t")
    await answer(graph, first)
    await answer(graph, request({"n": 10}, thread_id="t"))
    # When the first is delivered again, then its own result is found, and nothing runs
    assert (await answer(graph, first)).result == {"n": 4}
    assert len(ledger.ran) == 6


async def test_an_earlier_request_that_never_ended_is_not_taken_up_on_a_thread_that_went_on() -> None:
    ledger = Ledger()
    graph, first = ledger.graph(InMemorySaver()), request({"n": 1}, thread_id="t")
    ledger.fail_in = "b"
    await answer(graph, first)
    ledger.fail_in = None
    await answer(graph, request({"n": 10}, thread_id="t"))
    result = await answer(graph, first)
    assert result.error_detail is not None
    assert (result.status, result.error_detail.type) == (ResultStatus.ERROR, "Superseded")


async def test_a_request_at_a_question_is_answered_with_the_question_again() -> None:
    # Given a run that waits for an answer, and would count a second asking
    asked: list[int] = []

    def ask_once(state: State) -> State:
        asked.append(1)
        return {"n": interrupt("go on?")}

    graph, event = line(add, ask_once).compile(checkpointer=InMemorySaver()), request()
    first, again = await answer(graph, event), await answer(graph, event)
    assert again.status is ResultStatus.INTERRUPTED
    assert again.interrupts == first.interrupts
    assert asked == [1]


@pytest.mark.parametrize(
    "stop, node",
    [({"interrupt_before": ["b"]}, "b"), ({"interrupt_after": ["a"]}, "b"), ({"interrupt_after": "*"}, "b")],
)
async def test_a_request_at_a_breakpoint_stays_there(stop: dict[str, Any], node: str) -> None:
    ledger = Ledger()
    graph, event = ledger.graph(InMemorySaver(), **stop), request()
    for _ in range(2):
        result = await answer(graph, event)
        assert (result.status, result.interrupts) == (ResultStatus.INTERRUPTED, [{"node": node}])
    assert ledger.ran == ["a"]


async def test_two_requests_do_not_share_a_thread_by_chance() -> None:
    saver = InMemorySaver()
    graph = Ledger().graph(saver)
    await asyncio.gather(answer(graph, request()), answer(graph, request()))
    threads = {UUID(str(found.config["configurable"]["thread_id"])) async for found in saver.alist(None)}
    assert len(threads) == 2

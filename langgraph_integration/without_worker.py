"""Running a graph and publishing its result where no worker runs it: in a web handler, a script, a job of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph_integration.execution import GraphRunner
from langgraph_integration.graph_registry import RegisteredGraph
from workflow_events.payloads import Payloads

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.pregel import Pregel

    from langgraph_integration.result_producer import ResultProducer
    from workflow_events.events import WorkflowEvent, WorkflowResultEvent
    from workflow_events.wire import ReturnAddress

__all__ = ["run_and_publish"]


async def run_and_publish(
    graph: Pregel[Any, Any, Any, Any],
    request: WorkflowEvent,
    producer: ResultProducer,
    *,
    address: ReturnAddress | None = None,
    config: RunnableConfig | None = None,
    run_timeout: float | None = None,
) -> WorkflowResultEvent:
    """Run a compiled graph for a request and publish the one result, whatever it is.

    The rules are the worker's: an exception becomes an ``error`` result, a ``WorkflowFailure`` a ``failure``; where the
    graph has a checkpointer and the request was here before, its run goes on or its result is published again.

    Args:
        graph: compiled.
        request: what asks for it; its payload's data is the graph's input.
        producer: started.
        address: the request's return address; None: the producer's topic.
        config: what the run's config begins with, such as callbacks.
        run_timeout: seconds that the run may take; None: no limit.

    Returns:
        What was published; ``raise_for_status()`` raises where it is no success.

    Raises:
        TransportError: the result could not be published.
    """
    registered = RegisteredGraph(request.workflow_id, graph)
    runner = GraphRunner(
        lambda _: registered,
        config=config,
        run_timeout=run_timeout,
        take_payload=Payloads(producer.settings).atake,
    )
    result = await runner.answer(request)
    await producer.publish(result, address)
    return result

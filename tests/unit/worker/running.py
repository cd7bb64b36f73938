"""Small graphs, requests for them, and what comes of these without a broker."""

from __future__ import annotations

import itertools
from typing import Any, NoReturn, TypedDict

from langgraph.graph import START, StateGraph

from langgraph_integration import WorkflowFailure
from langgraph_integration.execution import GraphRunner
from langgraph_integration.graph_registry import GraphRegistry
from langgraph_integration.supervision import HandOver, Supervision
from workflow_events import EventType, WorkflowEvent, WorkflowEventPayload, WorkflowResultEvent

Builder = StateGraph[Any, Any, Any, Any]


class State(TypedDict, total=False):
    n: int
    other: Any


def line(*nodes: Any, schema: Any = State) -> Builder:
    builder = StateGraph(schema)
    for node in nodes:
        builder.add_node(node)
    builder.add_edge(START, nodes[0].__name__)
    for first, second in itertools.pairwise(nodes):
        builder.add_edge(first.__name__, second.__name__)
    return builder


def request(data: dict[str, Any] | None = None, **fields: Any) -> WorkflowEvent:
    return WorkflowEvent(
        event_type=EventType.WORKFLOW_TRIGGERED,
        source="airflow",
        workflow_id="w",
        workflow_run_id="r",
        payload=WorkflowEventPayload(data=data if data is not None else {"n": 1}),
        **fields,
    )


def add(state: State) -> State:
    return {"n": state["n"] + 1}


async def add_async(state: State) -> State:
    return {"n": state["n"] + 1}


def lose_the_connection() -> NoReturn:
    raise ConnectionResetError("peer went away")


def break_down(state: State) -> State:
    try:
        lose_the_connection()
    except ConnectionResetError as error:
        raise ValueError("cannot go on") from error


def say_no(state: State) -> State:
    raise WorkflowFailure("the contract is void", result={"clause": 7})


async def answer(graph: object, event: WorkflowEvent | None = None, **options: Any) -> WorkflowResultEvent:
    async with GraphRegistry({"g": graph}) as graphs:
        return await GraphRunner(graphs.choose, **options).answer(event or request())


class Heard:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.all: list[tuple[Any, ...]] = []
        self.durations: list[float] = []

    def run_started(self, *, resumed: bool) -> None:
        self.all.append(("run started", resumed))

    def node_started(self, node: str, step: int) -> None:
        self.all.append(("started", node, step))

    def node_finished(self, node: str, step: int, duration_ms: float) -> None:
        self.all.append(("finished", node, step))
        self.durations.append(duration_ms)

    def custom(self, node: str | None, data: object, step: int | None = None) -> None:
        self.all.append(("custom", node, data, step))


async def watched(
    graph: object, heard: Heard | None, event: WorkflowEvent | None = None, hand_over: HandOver | None = None
) -> WorkflowResultEvent:
    async with GraphRegistry({"g": graph}) as graphs:
        supervision = Supervision(heard, None, hand_over or HandOver())
        return await GraphRunner(graphs.choose).answer(event or request(), supervision)

"""A graph whose branches ask people at the same time, each something else."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt


class State(TypedDict, total=False):
    product: str
    name: str
    colour: str
    copies: int
    order: str


def naming(state: State) -> State:
    return {"name": interrupt(f"What is the {state['product']} called?")}


def painting(state: State) -> State:
    return {"colour": interrupt({"question": "Which colour?", "options": ["red", "blue"]})}


def counting(state: State) -> State:
    return {"copies": interrupt({"question": "How many?", "schema": {"type": "integer", "minimum": 1}})}


def order(state: State) -> State:
    return {"order": f"{state['copies']} {state['colour']} {state['product']}s called {state['name']}"}


builder: StateGraph[Any, Any, Any, Any] = StateGraph(State)
branches = (naming, painting, counting)
for branch in branches:
    builder.add_node(branch)
    builder.add_edge(START, branch.__name__)
builder.add_node("ordering", order)
builder.add_edge([branch.__name__ for branch in branches], "ordering")

graph = builder

"""Reviews an order: prices its lines and decides whether a person has to look at it. Says no to an order it cannot price."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from langgraph.graph import START, StateGraph

from langgraph_integration import WorkflowFailure, publish_result_node

PRICES = {"paper": 4.5, "ink": 19.0, "printer": 249.0}
"""Euros apiece."""

LIMIT = 500.0
"""Euros up to which an order needs no approval."""


class Review(TypedDict, total=False):
    """The graph's state; ``order`` is the request, the rest becomes the result."""

    order: dict[str, Any]
    total: float
    decision: str
    reason: str


def price(state: Review) -> Review:
    """Add up the lines."""
    total = 0.0
    for line in state["order"]["lines"]:
        if line["item"] not in PRICES:
            raise WorkflowFailure(f"there is no {line['item']!r} in the price list")
        total += PRICES[line["item"]] * line["quantity"]
    return {"total": round(total, 2)}


def route(state: Review) -> Literal["approve", "ask"]:
    """Decide who decides."""
    return "approve" if state["total"] <= LIMIT else "ask"


def approve(state: Review) -> Review:
    """Let a small order pass."""
    return {"decision": "approved", "reason": f"{state['total']:.2f} euros are within the limit of {LIMIT:.2f}"}


def ask(state: Review) -> Review:
    """Hold a large one."""
    return {"decision": "needs approval", "reason": f"{state['total']:.2f} euros are above the limit of {LIMIT:.2f}"}


builder = StateGraph(Review)
builder.add_node(price)
builder.add_node(approve)
builder.add_node(ask)
builder.add_edge(START, "price")
builder.add_conditional_edges("price", route)
publish_result_node(builder, select=["total", "decision", "reason"])

graph = builder

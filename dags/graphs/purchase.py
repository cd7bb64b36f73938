"""Prices a purchase and has people decide on it: first whether it is made, then on which cost centre."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

PRICES = {"paper": 4.5, "ink": 19.0, "printer": 249.0}
"""Euros apiece."""

COST_CENTRES = ("IT-1000", "HR-2000")


class Purchase(TypedDict, total=False):
    """The graph's state; ``item`` and ``quantity`` are the request."""

    item: str
    quantity: int
    total: float
    decision: str
    cost_centre: str


def price(state: Purchase) -> Purchase:
    """Work out the price. It is not worked out again when an answer comes, for by then it is in the checkpoint."""
    return {"total": round(PRICES[state["item"]] * state["quantity"], 2)}


def decide(state: Purchase) -> Purchase:
    """Have a person choose."""
    decision: str = interrupt(
        {
            "question": f"Buy {state['quantity']} x {state['item']} for {state['total']:.2f} euros?",
            "body": "Purchases above 500 euros are **not** reversible.",
            "options": ["approve", "reject"],
        }
    )
    return {"decision": decision}


def route(state: Purchase) -> Literal["book", "leave"]:
    """Only what is bought is booked."""
    return "book" if state["decision"] == "approve" else "leave"


def book(state: Purchase) -> Purchase:  # noqa: ARG001 - LangGraph passes it by this name
    """Have a person fill in a field, and ask again until the answer will do."""
    question: dict[str, Any] = {
        "question": "Which cost centre pays?",
        "schema": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"},
    }
    while True:
        answer = interrupt(question)
        if answer in COST_CENTRES:
            return {"cost_centre": answer}


builder = StateGraph(Purchase)
builder.add_node(price)
builder.add_node(decide)
builder.add_node(book)
builder.add_edge(START, "price")
builder.add_edge("price", "decide")
builder.add_conditional_edges("decide", route, {"book": "book", "leave": END})
builder.add_edge("book", END)

graph = builder

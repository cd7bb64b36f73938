"""The graph of the chaos workers: three nodes that take a while, and say in the ledger and in the state that they ran."""

from __future__ import annotations

import asyncio
import operator
import os
import random
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph

from langgraph_integration import publish_result_node
from tests.chaos.ledger import Execution, Ledger

__all__ = ["LEDGER", "NODES", "expected", "from_environment"]

LEDGER = "CHAOS_LEDGER"
"""The environment variable that names the ledger's file."""

NODES = ("fetch", "think", "write")
_LASTS = {"fetch": (0.0, 0.2), "think": (0.0, 2.0), "write": (0.0, 0.2)}  # seconds
# One request in so many takes longer than a worker's session lasts: a worker that was cut off is still at it when the group has
# given it to another.
_LONG_ONE_IN = 10
_LONG_ONES_LAST = {"fetch": (0.0, 0.2), "think": (6.0, 12.0), "write": (2.0, 4.0)}


class State(TypedDict, total=False):
    """The graph's state.

    Attributes:
        ran: the tokens of the executions whose writes the state knows.
    """

    n: int
    value: int
    ran: Annotated[list[str], operator.add]


def expected(n: int) -> dict[str, Any]:
    """The right answer."""
    return {"value": (n + 1) * 2 + 100}


def from_environment() -> StateGraph[Any, Any, Any, Any]:
    """The graph, with the ledger that the environment names."""
    ledger = Ledger(Path(os.environ[LEDGER]))
    builder = StateGraph(State)
    builder.add_node(_node(ledger, "fetch", lambda state: state["n"] + 1))
    builder.add_node(_node(ledger, "think", lambda state: state["value"] * 2))
    builder.add_node(_node(ledger, "write", lambda state: state["value"] + 100))
    builder.add_edge(START, "fetch")
    builder.add_edge("fetch", "think")
    builder.add_edge("think", "write")
    return publish_result_node(builder, select="value")


def _node(ledger: Ledger, name: str, change: Callable[[Any], int]) -> Any:
    worker = f"{os.getpid()}"

    async def run(state: State, config: RunnableConfig) -> State:
        request, token = str(config["metadata"]["correlation_id"]), uuid.uuid4().hex
        began = time.time()
        lasts = (_LASTS if state["n"] % _LONG_ONE_IN else _LONG_ONES_LAST)[name]
        await asyncio.sleep(random.Random(f"{request} {name}").uniform(*lasts))
        await asyncio.to_thread(ledger.executed, Execution(request, name, token, worker, began, time.time()))
        return {"value": change(state), "ran": [token]}

    run.__name__ = name
    return run

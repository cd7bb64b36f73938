"""A graph that keeps an account of what it has spent in a file of its own, outside of every checkpoint."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph


class State(TypedDict, total=False):
    ledger: str
    deadly: bool
    slow: bool
    answer: str


def enter(state: State, what: str) -> None:
    with Path(state["ledger"]).open("a", encoding="utf-8") as ledger:
        ledger.write(f"{what}\n")
        ledger.flush()
        os.fsync(ledger.fileno())


def is_first(state: State) -> bool:
    died = Path(f"{state['ledger']}.died")
    if died.exists():
        return False
    died.touch()
    return True


async def model(state: State) -> State:
    enter(state, "model")
    return {"answer": "42"}


async def work(state: State) -> dict[str, Any]:
    """Kills its worker the first time, if the request says so; or takes long, if it does."""
    if state.get("deadly") and is_first(state):
        await asyncio.sleep(2)  # its worker is heard of before it dies
        os.kill(os.getpid(), signal.SIGKILL)
    if state.get("slow"):
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            enter(state, "stopped")
            raise
    return {}


async def after(state: State) -> dict[str, Any]:
    enter(state, "after")
    return {}


builder: StateGraph[Any, Any, Any, Any] = StateGraph(State)
builder.add_node("model", model)
builder.add_node("work", work)
builder.add_node("after", after)
builder.add_edge(START, "model")
builder.add_edge("model", "work")
builder.add_edge("work", "after")

graph = builder

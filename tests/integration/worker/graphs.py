"""Graphs for tests, with a ledger of what ran; also loaded by worker processes, which find their files by the environment."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from langgraph_integration import WorkflowFailure, publish_result_node

Builder = StateGraph[Any, Any, Any, Any]


class State(TypedDict, total=False):
    n: int
    other: Any


class Ledger:
    """A file of lines ``id node begin|end``, to which any process appends; and gates, which are files too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / "ledger"

    def note(self, *words: str) -> None:
        with self._path.open("a") as file:
            file.write(" ".join(words) + "\n")
            file.flush()

    def lines(self, *, node: str | None = None, what: str | None = None) -> list[tuple[str, str, str]]:
        if not self._path.exists():
            return []
        found = [line.split() for line in self._path.read_text().splitlines()]
        lines = [(words[0], words[1], words[2]) for words in found if len(words) == 3]
        return [line for line in lines if node in {None, line[1]} and what in {None, line[2]}]

    def open_gate(self, name: str) -> None:
        (self.folder / f"gate-{name}").touch()

    def is_open(self, name: str) -> bool:
        return (self.folder / f"gate-{name}").exists()

    async def gate(self, name: str) -> None:
        while not self.is_open(name):  # noqa: ASYNC110 - another process opens it
            await asyncio.sleep(0.02)


def three_steps(ledger: Ledger) -> Builder:
    """``first`` adds 1, ``second`` doubles once the gate ``second`` is open, ``third`` adds 100."""

    def step(name: str, change: Any) -> Any:
        async def run(state: State, config: RunnableConfig) -> State:
            who = config["metadata"]["correlation_id"]
            ledger.note(who, name, "begin")
            if name == "second":
                await ledger.gate("second")
            ledger.note(who, name, "end")
            return {"n": change(state["n"])}

        run.__name__ = name
        return run

    builder = StateGraph(State)
    builder.add_node(step("first", lambda n: n + 1))
    builder.add_node(step("second", lambda n: n * 2))
    builder.add_node(step("third", lambda n: n + 100))
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    builder.add_edge("second", "third")
    return publish_result_node(builder, select="n")


def expected(n: int) -> dict[str, int]:
    """What :func:`three_steps` answers."""
    return {"n": (n + 1) * 2 + 100}


def one_node(node: Any) -> Builder:
    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder


async def add(state: State) -> State:
    return {"n": state["n"] + 1}


def break_down(state: State) -> State:
    raise ValueError("broken")


def say_no(state: State) -> State:
    raise WorkflowFailure("no", result={"why": "because"})


def ask(state: State) -> State:
    return {"other": interrupt("really?")}


async def hang(state: State) -> State:
    await asyncio.Event().wait()
    return {}


def hold(state: State) -> State:
    return {"other": object()}


def grow(state: State) -> State:
    return {"other": "x" * 2_000_000}


def endless() -> Builder:
    builder = one_node(add)
    builder.add_edge("node", "node")
    return builder


def kill_the_worker(ledger: Ledger) -> Builder:
    """Kills its process where ``n`` is below 0, and takes a moment otherwise; the moment ends with the gate ``kill``."""

    async def run(state: State, config: RunnableConfig) -> State:
        who = config["metadata"]["correlation_id"]
        ledger.note(who, "run", "begin")
        if state["n"] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        await ledger.gate("kill")
        ledger.note(who, "run", "end")
        return {"n": state["n"]}

    return publish_result_node(one_node(run), select="n")


def killing_from_environment() -> Builder:
    """The same, in a worker's process."""
    return kill_the_worker(Ledger(Path(os.environ["WORKER_TEST_LEDGER"])))


def from_environment() -> Builder:
    """The graph of worker processes."""
    return three_steps(Ledger(Path(os.environ["WORKER_TEST_LEDGER"])))

"""The graph of the cancel drill, and the notes that it takes of its own end, in a file that nobody but the drill knows of."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph

__all__ = ["NOTES", "Note", "Notes", "from_environment"]

NOTES = "DRILL_NOTES"
"""The environment variable that names the file."""
_LONG = 1_200.0  # seconds; nobody waits for its end
_TABLE = (
    "CREATE TABLE IF NOT EXISTS notes (n INTEGER NOT NULL, what TEXT NOT NULL, request TEXT NOT NULL, at REAL NOT NULL)"
)


class Note(NamedTuple):
    """What a node noted of itself.

    Attributes:
        n: the number that was asked.
        what: ``begun`` and ``stopped`` of the node that takes long, ``further`` of the one after it.
        request: the correlation id.
        at: seconds since 1970, on the machine's one clock.
    """

    n: int
    what: str
    request: str
    at: float


class Notes:
    """All notes; the file is made where it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._connected() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(_TABLE)

    def take(self, note: Note) -> None:
        """Write one down."""
        with self._connected() as database, database:
            database.execute("INSERT INTO notes VALUES (?, ?, ?, ?)", note)

    def of(self, what: str) -> dict[int, Note]:
        """The first of that kind, by number."""
        with self._connected() as database:
            rows = database.execute("SELECT n, what, request, at FROM notes WHERE what = ? ORDER BY at DESC", (what,))
            return {row[0]: Note(*row) for row in rows}

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=60.0)
        try:
            yield database
        finally:
            database.close()


class State(TypedDict, total=False):
    """The graph's state."""

    n: int
    done: bool


def from_environment() -> StateGraph[Any, Any, Any, Any]:
    """The graph, with the notes that the environment names."""
    notes = Notes(Path(os.environ[NOTES]))

    def note(state: State, config: RunnableConfig, what: str) -> None:
        notes.take(Note(state["n"], what, str(config["metadata"]["correlation_id"]), time.time()))

    async def work(state: State, config: RunnableConfig) -> State:
        note(state, config, "begun")
        try:
            await asyncio.sleep(_LONG)
        except asyncio.CancelledError:
            note(state, config, "stopped")
            raise
        return {"done": False}

    async def further(state: State, config: RunnableConfig) -> State:
        note(state, config, "further")
        return {"done": True}

    builder = StateGraph(State)
    builder.add_node("work", work)
    builder.add_node("further", further)
    builder.add_edge(START, "work")
    builder.add_edge("work", "further")
    return builder

"""What an observer hears of a run: which node begins, which has ended, and who says something, as LangGraph's stream tells it."""

from __future__ import annotations

import asyncio
import time
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple

from langgraph.config import get_config

if TYPE_CHECKING:
    from collections.abc import Collection

    from langgraph_integration.supervision import RunObserver

__all__ = ["Hearing"]

Namespace = tuple[str, ...]
"""The nodes that a graph runs inside, each ``name:task-id``."""


class _Open(NamedTuple):
    """A node that has begun and not ended."""

    namespace: Namespace
    name: str
    step: int
    began: float


class Hearing:
    """Listens to one run, and tells its observer, always in the event loop that this is made in.

    Args:
        observer: who is told.
        done: ids of tasks that had ended before; they are not told of.
    """

    def __init__(self, observer: RunObserver, done: Collection[str]) -> None:
        self._observer = observer
        self._done = done
        self._open: dict[str, _Open] = {}
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self._over = False

    def hear(self, chunk: tuple[Namespace, str, Any]) -> None:
        """A piece of the stream; a synchronous subgraph gives it in a thread of its own."""
        if get_ident() == self._thread:
            self.take(chunk[0], chunk[2])
        else:
            self._loop.call_soon_threadsafe(self.take, chunk[0], chunk[2])

    def write(self, data: object) -> None:
        """A graph's ``get_stream_writer()``; a synchronous node calls it in a thread of its own."""
        node, step = _here()
        if get_ident() == self._thread:
            self._say(node, step, data)
        else:
            self._loop.call_soon_threadsafe(self._say, node, step, data)

    def end(self) -> None:
        """The run is over. A thread that it has left behind is heard no more."""
        self._over = True

    def take(self, namespace: Namespace, told: dict[str, Any]) -> None:
        """What LangGraph's mode ``debug`` tells."""
        if self._over:
            return
        payload = told["payload"]
        if told["type"] == "task":
            if payload["id"] not in self._done:
                name = _path(namespace, payload["name"])
                self._open[payload["id"]] = _Open(namespace, name, told["step"], time.perf_counter())
                self._observer.node_started(name, told["step"])
        elif told["type"] == "task_result":
            begun = self._open.pop(payload["id"], None)
            if begun is not None and payload["error"] is None and not payload["interrupts"]:
                took = round((time.perf_counter() - begun.began) * 1000, 3)
                self._observer.node_finished(begun.name, told["step"], took)

    def take_custom(self, namespace: Namespace, data: object) -> None:
        """What LangGraph's mode ``custom`` tells; it leaves out which node said it."""
        here = [node for node in self._open.values() if node.namespace == namespace]
        if len(here) == 1:
            self._say(here[0].name, here[0].step, data)
        else:
            self._say(None, None, data)

    def _say(self, node: str | None, step: int | None, data: object) -> None:
        if not self._over:
            self._observer.custom(node, data, step)


def _here() -> tuple[str | None, int | None]:
    """The path of the node that runs here, and its superstep; None outside of one."""
    try:
        config = get_config()
        namespace: str = config["configurable"]["checkpoint_ns"]
    except (RuntimeError, KeyError):
        return None, None
    *outer, node = namespace.split("|")
    path = _path(tuple(outer), node.partition(":")[0]) or None
    step = config.get("metadata", {}).get("langgraph_step")
    return path, step if path is not None and isinstance(step, int) else None


def _path(namespace: Namespace, node: str) -> str:
    """A node's path as LangGraph writes it in errors: ``outer|inner``."""
    return "|".join([*(part.partition(":")[0] for part in namespace), node])

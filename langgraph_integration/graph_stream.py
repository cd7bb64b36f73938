"""A run that is told of while it goes on: the same output as ``ainvoke``, and each node's start and end on the way."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.pregel import Pregel
    from langgraph.runtime import RunControl
    from langgraph.types import Durability, StreamMode

    from langgraph_integration.supervision import RunObserver

__all__ = ["run_observed"]

_INTERRUPTS = "__interrupt__"
_MODES: Final[list[StreamMode]] = ["updates", "values", "debug", "custom"]
"""The first two are what ``ainvoke`` itself reads. ``debug`` is ``tasks`` with the number of the superstep."""

_Namespace = tuple[str, ...]
_Stream = AsyncGenerator[tuple[_Namespace, str, Any], None]


async def run_observed(
    graph: Pregel[Any, Any, Any, Any],
    data: object,
    config: RunnableConfig,
    observer: RunObserver,
    *,
    output_keys: str | Sequence[str],
    durability: Durability | None,
    control: RunControl | None,
    done: Collection[str] = (),
) -> Any:
    """What ``graph.ainvoke`` returns, raises and stores for these arguments, with an observer.

    Args:
        done: ids of tasks that had ended when the run was interrupted; LangGraph announces them again, and runs them not.
    """
    output: Any = None
    interrupts: list[Any] = []
    nodes = _Nodes(observer, done)
    stream = graph.astream(
        data,
        config,
        stream_mode=_MODES,
        output_keys=output_keys,
        durability=durability,
        control=control,
        subgraphs=True,
    )
    async with aclosing(cast("_Stream", stream)) as told:
        async for namespace, mode, payload in told:
            if mode == "values":
                if not namespace:
                    output = payload
            elif mode == "updates":
                if not namespace and isinstance(payload, dict):
                    interrupts.extend(payload.get(_INTERRUPTS) or ())
            elif mode == "custom":
                observer.custom(nodes.speaker(namespace), payload)
            else:
                nodes.take(namespace, payload)
    if not interrupts:
        return output
    return {**output, _INTERRUPTS: interrupts} if isinstance(output, dict) else {_INTERRUPTS: interrupts}


class _Nodes:
    """Which nodes are at work, as the stream tells it."""

    def __init__(self, observer: RunObserver, done: Collection[str]) -> None:
        self._observer = observer
        self._done = done
        self._open: dict[str, tuple[_Namespace, str, float]] = {}

    def take(self, namespace: _Namespace, told: dict[str, Any]) -> None:
        payload = told["payload"]
        if told["type"] == "task":
            if payload["id"] not in self._done:
                name = _path(namespace, payload["name"])
                self._open[payload["id"]] = (namespace, name, time.perf_counter())
                self._observer.node_started(name, told["step"])
        elif told["type"] == "task_result":
            begun = self._open.pop(payload["id"], None)
            if begun is not None and payload["error"] is None and not payload["interrupts"]:
                _, name, began = begun
                self._observer.node_finished(name, told["step"], round((time.perf_counter() - began) * 1000, 3))

    def speaker(self, namespace: _Namespace) -> str | None:
        here = [name for where, name, _ in self._open.values() if where == namespace]
        return here[0] if len(here) == 1 else None


def _path(namespace: _Namespace, node: str) -> str:
    """A node's path as LangGraph writes it in errors: ``outer|inner``."""
    return "|".join([*(part.partition(":")[0] for part in namespace), node])

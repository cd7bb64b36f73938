"""A run that is told of while it goes on: ``ainvoke``, and each node's start and end on the way.

A graph that runs inside another finds that one's stream in its config, and calls it with what it does, in the same turn of the
loop (LangGraph: ``StreamProtocol``). Here the outermost graph is given such a stream too, and so tells of itself as of its
subgraphs. LangGraph's public way is ``astream``; that has a queue and makes tasks for each superstep, which a small run feels. It
serves where a LangGraph to come has no such keys.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, cast

from langgraph.pregel.protocol import StreamProtocol
from langgraph.runtime import Runtime

from langgraph_integration.graph_hearing import Hearing

try:
    from langgraph._internal._constants import CONFIG_KEY_RUNTIME, CONFIG_KEY_STREAM
except ImportError:  # pragma: no cover - not in the LangGraph that is locked
    _KEYS: tuple[str, str] | None = None
else:
    _KEYS = (CONFIG_KEY_STREAM, CONFIG_KEY_RUNTIME)

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.pregel import Pregel
    from langgraph.runtime import RunControl
    from langgraph.types import Durability, StreamMode

    from langgraph_integration.supervision import RunObserver

    Graph = Pregel[Any, Any, Any, Any]

__all__ = ["run_observed"]


_INTERRUPTS = "__interrupt__"
_TASKS: Final = "debug"
"""LangGraph's mode ``tasks`` with the number of the superstep."""
_MODES: Final[list[StreamMode]] = ["updates", "values", _TASKS, "custom"]
"""The first two are what ``ainvoke`` itself reads."""

_Stream = AsyncGenerator[tuple[tuple[str, ...], str, Any], None]


async def run_observed(
    graph: Graph,
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
    hearing = Hearing(observer, done)
    if _KEYS is None:
        return await _by_astream(
            graph, data, config, hearing, output_keys=output_keys, durability=durability, control=control
        )
    stream, runtime = _KEYS
    handed_down = {stream: StreamProtocol(hearing.hear, {_TASKS}), runtime: Runtime(stream_writer=hearing.write)}
    try:
        return await graph.ainvoke(
            data,
            {**config, "configurable": {**config["configurable"], **handed_down}},
            output_keys=output_keys,
            durability=durability,
            control=control,
        )
    finally:
        hearing.end()


async def _by_astream(
    graph: Graph,
    data: object,
    config: RunnableConfig,
    hearing: Hearing,
    *,
    output_keys: str | Sequence[str],
    durability: Durability | None,
    control: RunControl | None,
) -> Any:
    output: Any = None
    interrupts: list[Any] = []
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
                hearing.take_custom(namespace, payload)
            else:
                hearing.take(namespace, payload)
    if not interrupts:
        return output
    return {**output, _INTERRUPTS: interrupts} if isinstance(output, dict) else {_INTERRUPTS: interrupts}

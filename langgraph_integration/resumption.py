"""What the checkpoint says about a request that may have been here before.

A request is delivered again when its worker died, or lost its partition, before its offset was committed; and it is
asked again, with a higher attempt, when its requester retries.

===========================  ==========================================
the checkpoint               what is to be done
===========================  ==========================================
knows nothing of it          run it with its input
holds its run, unfinished    go on from there, with no input
holds its run, finished      publish the recorded result again
holds its run, at a question  publish the question again
===========================  ==========================================

A run belongs to the request whose correlation id stands in its checkpoints' metadata. On a thread that goes on over
several requests, an earlier one's end is found in the thread's history.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from langgraph_integration.errors import SupersededError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.pregel import Pregel
    from langgraph.types import StateSnapshot

__all__ = ["CORRELATION_ID_KEY", "Standing", "WhatToDo", "is_finished", "stand_of"]

CORRELATION_ID_KEY = "correlation_id"
"""Where in a checkpoint's metadata the request's id stands."""


class WhatToDo(Enum):
    """What a worker does with a request."""

    RUN = "run it with its input"
    GO_ON = "go on from its last checkpoint"
    ANSWER = "publish what the checkpoint holds"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a request stands.

    Attributes:
        snapshot: the checkpoint that says so; for a new request on an old thread, the thread's last one.
    """

    what_to_do: WhatToDo
    snapshot: StateSnapshot


def is_finished(snapshot: StateSnapshot) -> bool:
    """Whether a run has come to its end.

    ``snapshot.next`` is not asked: it is empty, too, where all nodes of a step have stored what they wrote, and the
    process died before the step's own checkpoint was stored. Such a step still has its tasks.
    """
    return not snapshot.tasks


async def stand_of(graph: Pregel[Any, Any, Any, Any], config: RunnableConfig, correlation_id: str) -> Standing:
    """How the request with this id stands on the thread that ``config`` names; the graph has a checkpointer.

    Raises:
        SupersededError: its run cannot go on, because a later request has used the thread.
    """
    snapshot = await graph.aget_state(config)
    owner = (snapshot.metadata or {}).get(CORRELATION_ID_KEY)
    if owner != correlation_id:
        if snapshot.metadata is not None:
            async for earlier in graph.aget_state_history(config, filter={CORRELATION_ID_KEY: correlation_id}, limit=1):
                if is_finished(earlier) or await _waits(graph, earlier):
                    return Standing(WhatToDo.ANSWER, earlier)
                raise SupersededError(
                    "The request's run did not end, and its thread has gone on with a later request since"
                )
        return Standing(WhatToDo.RUN, snapshot)
    if is_finished(snapshot) or await _waits(graph, snapshot):
        return Standing(WhatToDo.ANSWER, snapshot)
    return Standing(WhatToDo.GO_ON, snapshot)


async def _waits(graph: Pregel[Any, Any, Any, Any], snapshot: StateSnapshot) -> bool:
    """Whether the run stands at a question or a breakpoint, past which only an answer may lead it."""
    open_tasks = [task for task in snapshot.tasks if task.result is None]
    if open_tasks and all(task.interrupts and not task.error for task in open_tasks):
        return True
    if _stops(graph.interrupt_before_nodes, [task.name for task in snapshot.tasks]):
        return True
    if graph.interrupt_after_nodes and snapshot.parent_config is not None:
        before = await graph.aget_state(snapshot.parent_config)
        return _stops(graph.interrupt_after_nodes, [task.name for task in before.tasks])
    return False


def _stops(breakpoints: Sequence[str] | str, names: list[str]) -> bool:
    return bool(names) and (breakpoints == "*" or any(name in breakpoints for name in names))

"""The rows of steps and of their decisions, as a worker and a graph's custom stream tell of them. Pure.

A graph says of its step ``{"step": {"input_count": 100, "output_count": 12, ...}}``, and of what it decided
``{"decision": {...}}`` or ``{"decisions": [{"item": "...", "verdict": "eliminated", "score": 0.2, "reason": "..."}]}``. What is
not of that shape is left out: a graph may say what it likes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, TypeGuard
from uuid import UUID

from result_store.column_values import count, json_text, name, number, small_count, text

if TYPE_CHECKING:
    from datetime import datetime

    from result_store.database.merging import Row
    from result_store.facts import ProgressFact
    from workflow_events.events import WorkflowResultEvent

__all__ = ["VERDICTS", "broken_step", "counted_step", "decisions", "finished_node", "tells_of_step"]

VERDICTS: Final = frozenset({"kept", "eliminated", "scored"})
"""What may be decided about an item."""
_UNNAMED: Final = "unnamed"
"""A step that was told of outside of all nodes, without a name."""
_TOLD: Final = ("step", "decision", "decisions")
_COUNTS: Final = ("input_count", "output_count", "kept", "eliminated", "scored", "tokens")


def tells_of_step(said: object) -> TypeGuard[dict[str, Any]]:
    """Whether a piece of a graph's custom stream is about a step or a decision."""
    return isinstance(said, dict) and any(isinstance(said.get(told), dict | list) for told in _TOLD)


def finished_node(fact: ProgressFact, node: str, at: datetime, rank: str) -> Row:
    """A node has ended well."""
    data = fact.event.payload.data
    return {
        **_step(fact, node, at),
        "node_duration_ms": number(data.get("duration_ms")),
        "node_rank": rank,
    }


def counted_step(
    fact: ProgressFact, said: dict[str, Any], at: datetime, rank: str, archive_key: str | None
) -> Row | None:
    """What a graph says that its step took in and gave out; None where it says nothing of that."""
    step = said.get("step")
    if not isinstance(step, dict):
        return None
    return {
        **_step(fact, _name(fact, said), at),
        **{column: count(step.get(column)) for column in _COUNTS},
        "duration_ms": number(step.get("duration_ms")),
        "cost": number(step.get("cost")),
        "archive_key": archive_key,
        "counts_rank": rank,
    }


def broken_step(event: WorkflowResultEvent, node: str, at: datetime) -> Row:
    """A result says that a node broke; in which superstep it does not say."""
    return {
        "correlation_id": event.correlation_id,
        "step_key": _key(node, None),
        "workflow_id": text(event.workflow_id),
        "name": node,
        "at": at,
        "failed": True,
    }


def decisions(
    fact: ProgressFact, said: dict[str, Any], at: datetime, rank: str, archive_key: str | None
) -> Iterator[Row]:
    """What a graph says that it decided. Of two words about one item in one step, the last counts."""
    step = _name(fact, said)
    key = _key(step, _superstep(fact))
    told = said.get("decisions")
    found: dict[UUID, Row] = {}
    for decision in [said.get("decision"), *(told if isinstance(told, list) else ())]:
        if not isinstance(decision, dict):
            continue
        verdict, item = decision.get("verdict"), decision.get("item")
        if not isinstance(verdict, str) or verdict not in VERDICTS or item is None:
            continue
        item = text(item) if isinstance(item, str) else json_text(item)
        digest = hashlib.blake2b(json_text([key, item]).encode(), digest_size=16, key=fact.correlation_id.bytes)
        decision_id = UUID(bytes=digest.digest())
        found[decision_id] = {
            "decision_id": decision_id,
            "correlation_id": fact.correlation_id,
            "workflow_id": text(fact.event.workflow_id),
            "step": step,
            "item": item,
            "verdict": verdict,
            "score": number(decision.get("score")),
            "reason": text(decision.get("reason")),
            "at": at,
            "archive_key": archive_key,
            "rank": rank,
        }
    yield from found.values()


def _step(fact: ProgressFact, step: str, at: datetime) -> Row:
    return {
        "correlation_id": fact.correlation_id,
        "step_key": _key(step, _superstep(fact)),
        "workflow_id": text(fact.event.workflow_id),
        "name": step,
        "at": at,
        "failed": False,
    }


def _name(fact: ProgressFact, said: dict[str, Any]) -> str:
    step = said.get("step")
    given = name(step.get("name")) if isinstance(step, dict) else None
    return given or name(fact.event.payload.data.get("node")) or _UNNAMED


def _superstep(fact: ProgressFact) -> int | None:
    return small_count(fact.event.payload.data.get("step"))


def _key(step: str, superstep: int | None) -> str:
    """The step's name, and the superstep where it is known. A ``#`` of the name's own is doubled: no two steps have one key."""
    quoted = step.replace("#", "##")
    return quoted if superstep is None else f"{quoted}#{superstep}"

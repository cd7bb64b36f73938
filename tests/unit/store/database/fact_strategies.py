"""Random facts: of few runs, with few times, attempts and names, so that they meet in the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from result_store.facts import DeadLetterFact, Fact, InvalidFact
from tests.unit.store.facts_made import accepted, dead_letter, invalid, progress, request, result
from workflow_events.events import EventType, ResultStatus

RUNS = st.integers(0, 2)
SECONDS = st.sampled_from([0.0, 0.000001, 1.0, 2.5, 86_400.0, -1e9])
ATTEMPTS = st.integers(1, 3)
NAMES = st.sampled_from(["a", "b", "Z", "é", "a#1", "nul\0nul"])
NODES = st.one_of(st.none(), NAMES)
COUNTS = st.one_of(
    st.none(), st.integers(0, 20), st.just(2**70), st.just("many"), st.floats(allow_nan=False, allow_infinity=False)
)

_STEP = st.fixed_dictionaries(
    {}, optional={"name": NAMES, **dict.fromkeys(("input_count", "output_count", "kept", "tokens", "cost"), COUNTS)}
)
_DECISION = st.one_of(
    st.fixed_dictionaries(
        {
            "item": st.one_of(NAMES, st.integers(0, 2)),
            "verdict": st.sampled_from(["kept", "eliminated", "scored", "lost"]),
        },
        optional={"score": COUNTS, "reason": NAMES},
    ),
    st.just("none"),
    st.just({"item": "a", "verdict": ["kept"]}),
)
_SAID = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.fixed_dictionaries(
        {}, optional={"step": _STEP, "decision": _DECISION, "decisions": st.lists(_DECISION, max_size=3)}
    ),
)


def _told(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": kind, "node": draw(NODES)}
    superstep = draw(st.one_of(st.none(), st.integers(0, 2), st.just(2**40)))
    if superstep is not None:
        told["step"] = superstep
    if kind == "custom":
        told["data"] = draw(_SAID)
    elif kind == "node_finished":
        told["duration_ms"] = draw(COUNTS)
    return told


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    """Any fact but those of messages that are none."""
    run, seconds, attempt = draw(RUNS), draw(SECONDS), draw(ATTEMPTS)
    names: dict[str, Any] = {"batch": draw(NAMES), "workflow_id": draw(NAMES)}
    kind = draw(st.sampled_from(["request", "accepted", "heartbeat", "result", "told", "told"]))
    if kind == "request":
        extras: dict[str, Any] = draw(
            st.fixed_dictionaries({}, optional={"user_id": NAMES, "tenant": st.integers(0, 1)})
        )
        return request(run, seconds, attempt=attempt, **names, **extras)
    if kind == "accepted":
        return accepted(run, seconds, attempt=attempt, **names)
    if kind == "heartbeat":
        return progress(run, seconds, EventType.WORKFLOW_HEARTBEAT, attempt=attempt, node=draw(NODES), **names)
    if kind == "result":
        status = draw(st.sampled_from(ResultStatus))
        return result(
            run,
            seconds,
            status,
            attempt=draw(st.one_of(st.none(), ATTEMPTS)),
            node=draw(NODES),
            answer={"answer": draw(NAMES)},
            usage=draw(st.one_of(st.none(), st.fixed_dictionaries({"total_tokens": COUNTS, "cost": COUNTS}))),
            **names,
        )
    told = _told(draw, draw(st.sampled_from(["run_started", "node_started", "node_finished", "custom", "custom"])))
    return progress(run, seconds, attempt=attempt, number=draw(st.integers(0, 1)), **names, **told)


OTHERS: list[InvalidFact | DeadLetterFact] = [
    invalid(1),
    invalid(2, 5.0, error="nul\0", key=None),
    dead_letter(1),
    dead_letter(2),
]


@st.composite
def histories(draw: st.DrawFn, most: int = 25) -> tuple[list[Fact], list[list[Fact]]]:
    """Facts, and the same in any order, some more than once, in batches of any size."""
    once: list[Fact] = [
        *draw(st.lists(facts(), min_size=1, max_size=most)),
        *draw(st.lists(st.sampled_from(OTHERS), max_size=2)),
    ]
    again = draw(st.permutations([*once, *draw(st.lists(st.sampled_from(once), max_size=10))]))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(again) - 1)), max_size=6)))
    return once, split(again, cuts)


def split(facts_: Sequence[Fact], cuts: Sequence[int]) -> list[list[Fact]]:
    edges = [0, *cuts, len(facts_)]
    return [list(facts_[begin:end]) for begin, end in pairwise(edges) if begin < end]

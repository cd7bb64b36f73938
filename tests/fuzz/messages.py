"""Strategies for what a stranger may put on a topic: bytes, broken JSON, JSON that is no event, events with nonsense in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from workflow_events import WorkflowEvent, WorkflowResultEvent
from workflow_events.events import EventType, ResultStatus

__all__ = ["FuzzMessage", "bodies", "messages"]

TIME = "2026-01-02T03:04:05+00:00"
DEPTHS = (10, 190, 210, 1_000, 20_000)
HUGE = (10**30, -(10**400), 1e308, 2**63, 2**64, -0.0)
HUGE_TEXTS = ("1e999", "-1e999", "1" * 5_000, "0." + "3" * 5_000, "NaN", "Infinity", "01", "1.", "-")
EVENT_FIELDS = tuple(WorkflowEvent.model_fields)
RESULT_FIELDS = tuple(WorkflowResultEvent.model_fields)


@dataclass(frozen=True, slots=True)
class FuzzMessage:
    """A message as a plain client sends it."""

    value: bytes | None
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(HUGE)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\ud83d", "\udfff\ud800", "\x00", "\u202e", ""])
)
values = st.recursive(
    leaves,
    lambda more: st.lists(more, max_size=3) | st.dictionaries(st.text(max_size=8), more, max_size=3),
    max_leaves=6,
)


def dumped(value: object) -> bytes:
    """JSON as lax writers write it: NaN, Infinity and lone surrogates go out, the latter escaped."""
    return json.dumps(value).encode()


@st.composite
def nearly(draw: st.DrawFn, valid: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """An event with some fields missing, of the wrong type or unknown."""
    body = {**valid, "event_id": str(draw(st.uuids())), "correlation_id": str(draw(st.uuids()))}
    for name in draw(st.lists(st.sampled_from(names), max_size=3, unique=True)):
        if draw(st.booleans()):
            body.pop(name, None)
        else:
            body[name] = draw(values)
    return body


def valid_event(event_type: str) -> dict[str, Any]:
    return {
        "event_type": event_type,
        "timestamp": TIME,
        "source": "airflow",
        "workflow_id": "echo",
        "workflow_run_id": "r",
        "payload": {"data": {"n": 1}},
        "metadata": {"environment": "dev", "version": "1.0"},
    }


VALID_RESULT: dict[str, Any] = {
    "workflow_id": "echo",
    "workflow_run_id": "r",
    "result": {},
    "status": ResultStatus.ERROR.value,
    "timestamp": TIME,
    "error": None,
}

events = st.sampled_from([*map(str, EventType), "no.such.type"]).flatmap(
    lambda kind: nearly(valid_event(kind), EVENT_FIELDS)
)
results = nearly(VALID_RESULT, RESULT_FIELDS)
near_events = (events | results).map(dumped)


@st.composite
def cut_off(draw: st.DrawFn) -> bytes:
    body: bytes = draw(near_events)
    return body[: draw(st.integers(0, len(body)))]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An event with a few bytes changed."""
    body = bytearray(draw(near_events))
    for _ in range(draw(st.integers(1, 4))):
        body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return bytes(body)


@st.composite
def deep(draw: st.DrawFn) -> bytes:
    """An event whose data are nested very deeply, closed or not."""
    depth = draw(st.sampled_from(DEPTHS))
    opening, closing = draw(st.sampled_from([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")]))
    nest = opening * depth + b"1" + (closing * depth if draw(st.booleans()) else b"")
    return replaced(b'"@"', nest, {**valid_event("workflow.triggered"), "payload": {"data": {"deep": "@"}}}, draw)


@st.composite
def with_huge_number(draw: st.DrawFn) -> bytes:
    number = draw(st.sampled_from(HUGE_TEXTS)).encode()
    name = draw(st.sampled_from(["attempt", "timestamp", "payload", "deadline"]))
    return replaced(b'"@"', number, {**valid_event("workflow.triggered"), name: "@"}, draw)


@st.composite
def with_duplicate_keys(draw: st.DrawFn) -> bytes:
    """Two values for one name, of which different readers take different ones."""
    body: bytes = draw(near_events)
    name = draw(st.sampled_from(["event_id", "correlation_id", "workflow_id", "event_type", "payload", "status"]))
    second = json.dumps({name: draw(st.uuids().map(str) | values)})[1:-1].encode()
    return body[:-1] + b"," + second + b"}"


@st.composite
def with_surrogates(draw: st.DrawFn) -> bytes:
    escaped = draw(
        st.sampled_from([rb"\ud83d", rb"\udfff", rb"\ud800\ud800", b"\xed\xa0\x80", b"\xc0\x80", rb"\u0000"])
    )
    name = draw(st.sampled_from(["workflow_id", "workflow_run_id", "thread_id", "source", "event_type"]))
    return replaced(b"@", escaped, {**valid_event("workflow.triggered"), name: "x@x"}, draw)


def replaced(mark: bytes, by: bytes, body: dict[str, Any], draw: st.DrawFn) -> bytes:
    return dumped({**body, "event_id": str(draw(st.uuids()))}).replace(mark, by, 1)


bodies = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([b"", b"null", b"[]", b"{}", b'"', b"\xef\xbb\xbf{}", b"{}{}", b"\x00" * 50, b" " * 2_000]),
    values.map(dumped),
    near_events,
    cut_off(),
    damaged(),
    deep(),
    with_huge_number(),
    with_duplicate_keys(),
    with_surrogates(),
    st.integers(100_000, 101_000).map(lambda size: b"x" * size),  # above the limit of the fuzz tests
)

header_values = st.binary(max_size=40) | st.uuids().map(lambda one: str(one).encode())
names = st.sampled_from(
    [
        "correlation-id",
        "reply-partition",
        "ce_type",
        "content-type",
        "traceparent",
        "dead-letter-topic",
        "dead-letter-note",
        "signature",
        "claim-check",
        "",
    ]
)

# Hardly ever a name that a topic could have: such a one is waited for, for seconds, as a new topic is.
reply_topics = st.binary(min_size=8, max_size=40).map(lambda name: ("reply-topic", name + b"\xff"))


def messages(known: tuple[UUID, ...] = ()) -> st.SearchStrategy[FuzzMessage]:
    """Messages of every kind.

    Args:
        known: ids that somebody waits for; some messages carry one of them in the header or the body.
    """
    some_headers = header_values
    some_bodies: st.SearchStrategy[bytes | None] = st.none() | bodies
    if known:
        some_headers |= st.sampled_from(known).map(lambda one: str(one).encode())
        some_bodies |= st.sampled_from(known).map(
            lambda one: dumped({**VALID_RESULT, "correlation_id": str(one), "status": 3})
        )
    return st.builds(
        FuzzMessage,
        some_bodies,
        st.none() | st.binary(max_size=20),
        st.lists(st.tuples(names, some_headers) | reply_topics, max_size=3).map(tuple),
    )

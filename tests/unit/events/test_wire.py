"""Bytes, headers and keys, and what is made of those that others send."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_events import (
    EventType,
    InvalidEventError,
    ResultStatus,
    WorkflowEvent,
    WorkflowEventPayload,
    WorkflowResultEvent,
    wire,
)

ID = UUID("0190a1b2-0000-7000-8000-00000000abcd")
EVENT = WorkflowEvent(
    event_id=ID,
    event_type=EventType.WORKFLOW_TRIGGERED,
    source="airflow",
    workflow_id="w",
    workflow_run_id="r",
    payload=WorkflowEventPayload(data={"n": None}),
)
RESULT = WorkflowResultEvent(correlation_id=ID, workflow_id="w", workflow_run_id="r", result={"n": None})


def test_a_request_is_keyed_by_its_id_or_by_the_thread_it_goes_on() -> None:
    assert wire.request_message(EVENT, topic="t").key == str(ID).encode()
    threaded = EVENT.model_copy(update={"thread_id": "thread-1"})
    assert wire.request_message(threaded, topic="t").key == b"thread-1"


def test_the_correlation_id_is_the_first_header_and_cloudevents_follow() -> None:
    message = wire.request_message(EVENT, topic="t", reply_to=wire.ReturnAddress("replies", 3))
    headers = dict(message.headers)
    assert message.headers[0] == ("correlation-id", str(ID).encode())
    assert headers["ce_id"] == str(ID).encode()
    assert headers["ce_type"] == b"workflow.triggered"
    assert headers["ce_source"] == b"/airflow"
    assert headers["ce_specversion"] == b"1.0"
    assert datetime.fromisoformat(headers["ce_time"].decode()) == EVENT.timestamp
    assert headers["content-type"] == b"application/json"
    assert wire.return_address_in(message.headers) == wire.ReturnAddress("replies", 3)


def test_other_events_are_keyed_by_their_own_id_and_say_whose_they_are() -> None:
    threaded = EVENT.model_copy(update={"thread_id": "thread-1"})
    message = wire.event_message(threaded, topic="control")
    assert (message.topic, message.key) == ("control", str(ID).encode())
    assert message.headers == wire.request_message(EVENT, topic="t").headers
    assert wire.decode_event(message.value) == threaded


def test_a_message_goes_to_the_topic_and_partition_it_was_made_for() -> None:
    assert wire.request_message(EVENT, topic="requests").topic == "requests"
    message = wire.result_message(RESULT, topic="replies", partition=3, source="node")
    assert (message.topic, message.partition, message.key) == ("replies", 3, str(ID).encode())
    assert dict(message.headers)["ce_source"] == b"/node"
    assert dict(message.headers)["ce_type"] == b"workflow.result"
    assert datetime.fromisoformat(dict(message.headers)["ce_time"].decode()) == RESULT.timestamp
    assert dict(wire.result_message(RESULT, topic="replies").headers)["ce_source"] == b"/langgraph"


def test_absent_fields_stay_off_the_wire_and_nulls_of_the_user_stay_on() -> None:
    request = json.loads(wire.request_message(EVENT, topic="t").value)
    result = json.loads(wire.result_message(RESULT, topic="t").value)
    assert "deadline" not in request
    assert request["payload"]["data"] == {"n": None}
    assert set(result) == {
        "correlation_id", "workflow_id", "workflow_run_id", "result", "status", "timestamp", "error",
    }  # fmt: skip
    assert result["result"] == {"n": None}
    assert result["error"] is None


def test_what_is_encoded_is_decoded_the_same() -> None:
    event = EVENT.model_copy(update={"deadline": datetime(2026, 12, 1, tzinfo=UTC), "attempt": 3})
    assert wire.decode_event(wire.request_message(event, topic="t").value) == event
    result = RESULT.model_copy(update={"attempt": 2, "checkpoint_id": "c"})
    assert wire.decode_result(wire.result_message(result, topic="t").value) == result


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(), JSON, max_size=4),
    st.sampled_from(ResultStatus),
    st.none() | st.text(),
    st.none() | st.integers(1, 9),
    st.uuids(),
)
def test_any_result_arrives_as_it_was_sent_and_is_matched_by_header_and_by_body_alike(
    result: dict[str, Any], status: ResultStatus, error: str | None, attempt: int | None, mine: UUID
) -> None:
    sent = RESULT.model_copy(
        update={"correlation_id": mine, "result": result, "status": status, "error": error, "attempt": attempt}
    )
    message = wire.result_message(sent, topic="t")
    assert wire.decode_result(message.value) == sent
    assert wire.find_correlation_key(message.headers, None) == str(mine).encode()
    assert wire.find_correlation_key([], message.value) == str(mine).encode()


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"correlation_id": 1}', b"[" * 10_000, b'"\\ud800"'],
    ids=["none", "empty", "cut", "list", "null", "no text", "wrong type", "deep", "surrogate"],
)
def test_malformed_bytes_are_one_error_that_names_the_matter(value: bytes | None) -> None:
    with pytest.raises(InvalidEventError, match="WorkflowResultEvent"):
        wire.decode_result(value)
    with pytest.raises(InvalidEventError, match="WorkflowEvent"):
        wire.decode_event(value)


def test_an_invalid_event_names_its_fields_and_shows_no_value() -> None:
    body = {"correlation_id": "hunter2", "workflow_id": {"password": "hunter2"}}
    with pytest.raises(InvalidEventError) as caught:
        wire.decode_result(json.dumps(body).encode())
    assert "correlation_id" in str(caught.value)
    assert "workflow_id" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "headers,body,expected",
    [
        ([("correlation-id", str(ID).encode())], b"not read", str(ID)),
        ([("a", b"b"), ("correlation-id", str(ID).upper().encode())], b"not read", str(ID)),
        ([], json.dumps({"correlation_id": str(ID)}).encode(), str(ID)),
        ([], json.dumps({"correlation_id": str(ID).upper()}).encode(), str(ID)),
        ([], json.dumps({"correlation_id": ID.hex}).encode(), str(ID)),
        ([("correlation-id", ID.bytes)], json.dumps({"correlation_id": str(ID)}).encode(), str(ID)),
        ([("correlation-id", None)], json.dumps({"correlation_id": str(ID)}).encode(), str(ID)),
        ([], json.dumps({"event_id": str(ID)}).encode(), None),
        ([], b'{"correlation_id": "x"}', None),
        ([], b"{", None),
        ([], b"[]", None),
        ([], None, None),
    ],
)
def test_a_waiter_looks_at_the_header_and_at_the_body_only_without_one(
    headers: list[tuple[str, bytes | None]], body: bytes | None, expected: str | None
) -> None:
    assert wire.find_correlation_key(headers, body) == (expected.encode() if expected else None)


def test_the_id_of_a_broken_request_is_found_where_it_can_be() -> None:
    assert wire.correlation_id_in([], json.dumps({"event_id": str(ID), "payload": 3}).encode()) == ID
    assert wire.correlation_id_in([("correlation-id", str(ID).encode())], b"\xff") == ID
    assert wire.correlation_id_in([("correlation-id", b"?")], None) is None
    assert wire.correlation_id_in([], json.dumps({"correlation_id": str(ID), "event_id": str(uuid4())}).encode()) == ID
    assert (
        wire.correlation_id_in([("user-id", str(uuid4()).encode()), ("correlation-id", str(ID).encode())], None) == ID
    )
    assert wire.correlation_id_in([("user-id", str(ID).encode())], None) is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["correlation-id", "reply-topic", "reply-partition", "x"]), st.none() | st.binary())
    ),
    st.none() | st.binary(),
)
def test_reading_others_headers_and_bodies_never_raises(
    headers: list[tuple[str, bytes | None]], body: bytes | None
) -> None:
    wire.find_correlation_key(headers, body)
    wire.correlation_id_in(headers, body)
    wire.return_address_in(headers)


@dataclass
class Message:
    headers: list[tuple[str, bytes | None]]
    value: bytes | None


SOME_IDS = st.integers(0, 2).map(lambda number: str(UUID(int=number)))
BODIES = SOME_IDS.map(lambda name: json.dumps({"correlation_id": name}).encode())
MESSAGES = st.builds(
    Message,
    st.lists(
        st.tuples(
            st.sampled_from(["correlation-id", "x"]),
            st.none() | st.just(b"?") | SOME_IDS.map(str.encode) | SOME_IDS.map(lambda name: name.upper().encode()),
        ),
        max_size=3,
    ),
    st.none() | st.just(b"{") | BODIES,
)


@given(st.lists(MESSAGES, max_size=6), st.sets(SOME_IDS.map(str.encode)))
def test_matching_a_batch_says_of_each_message_what_is_said_of_it_alone(
    messages: list[Message], wanted: set[bytes]
) -> None:
    alone = [(message, wire.find_correlation_key(message.headers, message.value)) for message in messages]
    assert wire.correlation_keys(messages) == [key for _, key in alone]
    assert list(wire.matching(messages, wanted)) == [(message, key) for message, key in alone if key in wanted]


@pytest.mark.parametrize(
    "headers,expected",
    [
        ([], None),
        ([("reply-topic", b"r")], wire.ReturnAddress("r")),
        ([("reply-topic", b"r"), ("reply-partition", b"7")], wire.ReturnAddress("r", 7)),
        ([("reply-topic", b"r"), ("reply-partition", b"-7")], wire.ReturnAddress("r")),
        ([("reply-partition", b"7")], None),
        ([("reply-topic", None)], None),
        ([("x", None), ("reply-topic", b"r")], wire.ReturnAddress("r")),
    ],
)
def test_a_return_address_needs_a_topic(
    headers: list[tuple[str, bytes | None]], expected: wire.ReturnAddress | None
) -> None:
    assert wire.return_address_in(headers) == expected


def test_trace_context_travels_when_a_span_is_current() -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    pytest.importorskip("opentelemetry.propagate")
    context = trace.SpanContext(trace_id=0x1234, span_id=0x5678, is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(context)):
        headers = dict(wire.request_message(EVENT, topic="t").headers)
    assert headers["traceparent"] == b"00-00000000000000000000000000001234-0000000000005678-01"
    assert "traceparent" not in dict(
        wire.request_message(EVENT.model_copy(update={"event_id": uuid4()}), topic="t").headers
    )


@given(
    st.sampled_from([EventType.WORKFLOW_PROGRESS, EventType.WORKFLOW_HEARTBEAT]),
    st.datetimes(timezones=st.just(UTC)),
    st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=3),
)
def test_a_message_about_a_request_that_is_not_validated_is_the_same_to_the_byte(
    event_type: EventType, timestamp: datetime, data: dict[str, Any]
) -> None:
    event = EVENT.model_copy(
        update={"event_type": event_type, "timestamp": timestamp, "payload": WorkflowEventPayload(data=data)}
    )
    fields = {
        **event.model_dump(mode="json", exclude={"deadline", "thread_id", "claim_check"}),
        "timestamp": timestamp,
    }
    about = uuid4()

    plain = wire.plain_about_message(fields, topic="p", key=wire.correlation_key(about))

    assert plain == wire.about_message(event, topic="p", correlation_id=about)

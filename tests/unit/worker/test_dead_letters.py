"""What becomes of a message that cannot be processed."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.structs import ConsumerRecord

from langgraph_integration.dead_letters import Refusal, answer_to_invalid, dead_letter, poisoned, read_request
from langgraph_integration.errors import InvalidRequestError
from workflow_events import ResultStatus
from workflow_events.dead_letters import DeadLetterReason


def record(value: bytes | None, headers: list[tuple[str, Any]] | None = None) -> Any:
    return ConsumerRecord("requests", 3, 17, 1_700_000_000_000, 0, b"key", value, None, 3, 9, tuple(headers or []))


def refusal(text: str = "why") -> Refusal:
    return Refusal(DeadLetterReason.WRONG_SCHEMA, InvalidRequestError(text))


def refused(value: bytes | None, *, max_bytes: int = 1000) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_request(value, max_bytes=max_bytes)
    return caught.value


@pytest.mark.parametrize(
    "value, code",
    [
        pytest.param(b"\xff{", DeadLetterReason.INVALID_JSON, id="no text"),
        pytest.param(b'{"event_id": ', DeadLetterReason.INVALID_JSON, id="cut off"),
        pytest.param(b"", DeadLetterReason.INVALID_JSON, id="empty"),
        pytest.param(None, DeadLetterReason.INVALID_JSON, id="a tombstone"),
        pytest.param(b'"\\ud83d"', DeadLetterReason.INVALID_JSON, id="half a surrogate pair"),
        pytest.param(b"[]", DeadLetterReason.WRONG_SCHEMA, id="a list"),
        pytest.param(b"{}", DeadLetterReason.WRONG_SCHEMA, id="no fields"),
        pytest.param(b"[" * 1001, DeadLetterReason.OVERSIZE, id="too large"),
    ],
)
def test_a_message_that_is_no_request_is_refused_for_its_own_reason(
    value: bytes | None, code: DeadLetterReason
) -> None:
    assert refused(value).code is code


def test_a_message_of_just_the_largest_size_is_read() -> None:
    assert refused(b"[" + b" " * 998 + b"]").code is DeadLetterReason.WRONG_SCHEMA


def test_no_value_of_the_message_stands_in_the_reason_or_the_stack() -> None:
    found = refused(b'{"event_id": "hunter2", "payload": {"data": "hunter2"}}')
    letter = dead_letter(record(b""), found, topic="t")
    assert "event_id" in str(found)
    stack = dict(letter.headers)["dead-letter-stack"]
    assert b"InvalidEventError" in stack
    assert not [value for _, value in letter.headers if b"hunter2" in value]


def test_a_message_too_large_to_read_is_answered_by_its_headers_alone() -> None:
    event_id = uuid4()
    body = json.dumps({"event_id": str(event_id), "padding": "x" * 2000}).encode()
    found = refused(body)
    assert answer_to_invalid(record(body), found, max_bytes=1000) is None
    by_header = answer_to_invalid(record(body, [("correlation-id", str(event_id).encode())]), found, max_bytes=1000)
    assert by_header is not None
    assert by_header.correlation_id == event_id


def test_poison_is_answered_with_a_type_of_its_own() -> None:
    body = json.dumps({"event_id": str(uuid4()), "workflow_id": "w", "attempt": 3}).encode()
    answer = answer_to_invalid(record(body), poisoned(5, topic="requests.dlq"))
    assert answer is not None
    assert answer.error_detail is not None
    assert (answer.error_detail.type, answer.error_detail.retryable) == ("PoisonedRequest", False)
    assert answer.attempt == 3
    assert "5 times" in (answer.error or "")
    assert "requests.dlq" in (answer.error or "")


def test_whoever_sent_an_invalid_message_is_told_if_its_id_can_be_read() -> None:
    event_id = uuid4()
    body = json.dumps({"event_id": str(event_id), "workflow_id": "w", "payload": 3}).encode()
    answer = answer_to_invalid(record(body), refusal("payload: not an object"))
    assert answer is not None
    assert (answer.correlation_id, answer.workflow_id, answer.workflow_run_id) == (event_id, "w", "unknown")
    assert (answer.status, answer.error) == (ResultStatus.ERROR, "payload: not an object")
    assert answer.error_detail is not None
    assert (answer.error_detail.type, answer.error_detail.retryable) == ("InvalidRequest", False)


def test_the_id_may_stand_in_the_header_of_what_is_no_json() -> None:
    event_id = uuid4()
    answer = answer_to_invalid(record(b"\xff", [("correlation-id", str(event_id).encode())]), refusal())
    assert answer is not None
    assert (answer.correlation_id, answer.workflow_id) == (event_id, "unknown")


@pytest.mark.parametrize("value", [None, b"", b"[]", b'{"event_id": 3}', b'{"event_id": "x"}', b"[" * 100_000])
def test_nobody_can_be_told_without_an_id(value: bytes | None) -> None:
    assert answer_to_invalid(record(value), refusal()) is None


@pytest.mark.parametrize("attempt", [0, -1, 10**30, True, "2", 1.5])
def test_an_attempt_that_is_none_is_left_out_of_the_answer(attempt: object) -> None:
    body = json.dumps({"event_id": str(uuid4()), "attempt": attempt}).encode()
    answer = answer_to_invalid(record(body), refusal())
    assert answer is not None
    assert answer.attempt is None

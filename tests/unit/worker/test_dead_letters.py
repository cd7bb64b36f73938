"""What becomes of a message that cannot be processed."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.structs import ConsumerRecord

from langgraph_integration.dead_letters import answer_to_invalid, dead_letter, without_value
from workflow_events import ResultStatus


def record(value: bytes | None, headers: list[tuple[str, Any]] | None = None) -> Any:
    return ConsumerRecord("requests", 3, 17, 1_700_000_000_000, 0, b"key", value, None, 3, 9, tuple(headers or []))


def test_a_dead_letter_keeps_the_original_and_says_why_and_whence() -> None:
    letter = dead_letter(record(b"\xff{", [("a", b"1"), ("b", None)]), "no JSON", topic="requests.dlq")
    assert (letter.topic, letter.value, letter.key) == ("requests.dlq", b"\xff{", b"key")
    assert letter.headers == [
        ("a", b"1"),
        ("b", b""),
        ("dead-letter-reason", b"no JSON"),
        ("dead-letter-topic", b"requests"),
        ("dead-letter-partition", b"3"),
        ("dead-letter-offset", b"17"),
        ("dead-letter-timestamp", b"1700000000000"),
    ]


def test_a_dead_letter_that_is_too_large_keeps_its_place() -> None:
    letter = without_value(dead_letter(record(b"x" * 100, [("a", b"1")]), "why", topic="t"))
    assert letter.value == b""
    assert ("dead-letter-offset", b"17") in letter.headers
    assert ("dead-letter-value-left-out", b"100") in letter.headers
    assert ("a", b"1") not in letter.headers


def test_whoever_sent_an_invalid_message_is_told_if_its_id_can_be_read() -> None:
    event_id = uuid4()
    body = json.dumps({"event_id": str(event_id), "workflow_id": "w", "payload": 3}).encode()
    answer = answer_to_invalid(record(body), "payload: not an object")
    assert answer is not None
    assert (answer.correlation_id, answer.workflow_id, answer.workflow_run_id) == (event_id, "w", "unknown")
    assert (answer.status, answer.error) == (ResultStatus.ERROR, "payload: not an object")
    assert answer.error_detail is not None
    assert (answer.error_detail.type, answer.error_detail.retryable) == ("InvalidRequest", False)


def test_the_id_may_stand_in_the_header_of_what_is_no_json() -> None:
    event_id = uuid4()
    answer = answer_to_invalid(record(b"\xff", [("correlation-id", str(event_id).encode())]), "no JSON")
    assert answer is not None
    assert (answer.correlation_id, answer.workflow_id) == (event_id, "unknown")


@pytest.mark.parametrize("value", [None, b"", b"[]", b'{"event_id": 3}', b'{"event_id": "x"}', b"[" * 100_000])
def test_nobody_can_be_told_without_an_id(value: bytes | None) -> None:
    assert answer_to_invalid(record(value), "why") is None

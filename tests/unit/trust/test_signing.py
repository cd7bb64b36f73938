"""A message that was made without a key, or made into another, is told from a genuine one."""

from __future__ import annotations

import base64
import hmac
import logging
import struct
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_events import EventType, KafkaSettings, ResultStatus, WorkflowEvent, WorkflowResultEvent, wire
from workflow_events.signing import (
    REQUEST_TYPES,
    RESULT_TYPES,
    Authenticity,
    Signatures,
    authenticity,
    canonical,
    signature,
)
from workflow_events.wire import OutgoingMessage, ReturnAddress

OLD, NEW, STRANGERS = b"o" * 32, b"n" * 32, b"s" * 32
FIRST, SECOND = UUID(int=1), UUID(int=2)


def request(correlation_id: UUID = FIRST, attempt: int = 1) -> OutgoingMessage:
    event = WorkflowEvent(
        event_id=correlation_id,
        event_type=EventType.WORKFLOW_TRIGGERED,
        source="airflow",
        workflow_id="w",
        workflow_run_id="r",
        attempt=attempt,
    )
    return wire.request_message(event, topic="t", reply_to=ReturnAddress("answers", 3))


def result(correlation_id: UUID = FIRST, attempt: int | None = 1) -> OutgoingMessage:
    event = WorkflowResultEvent(
        correlation_id=correlation_id, workflow_id="w", workflow_run_id="r", attempt=attempt, status=ResultStatus.ERROR
    )
    return wire.result_message(event, topic="t")


def signed(message: OutgoingMessage, key: bytes = NEW, key_id: str = "new") -> OutgoingMessage:
    return Signatures({key_id: key}).sign(message)


def with_header(message: OutgoingMessage, name: str, value: bytes | None) -> OutgoingMessage:
    """The message with a header changed, or without it."""
    headers = [(n, v) for n, v in message.headers if n != name]
    return replace(message, headers=headers if value is None else [*headers, (name, value)])


def judged(message: OutgoingMessage) -> Authenticity:
    return authenticity({"new": NEW, "old": OLD}, message.headers, message.value)


@pytest.mark.parametrize("make", [request, result], ids=["request", "result"])
@pytest.mark.parametrize("key_id,key", [("new", NEW), ("old", OLD)], ids=["new", "old"])
def test_what_any_of_our_keys_signed_is_genuine(make: type, key_id: str, key: bytes) -> None:
    assert judged(signed(make(), key, key_id)) is Authenticity.GENUINE


def test_a_result_that_names_no_attempt_can_be_signed_too() -> None:
    assert judged(signed(result(attempt=None))) is Authenticity.GENUINE


def test_what_nobody_signed_is_unsigned() -> None:
    assert judged(request()) is Authenticity.UNSIGNED


def test_what_a_strangers_key_signed_is_not_genuine_under_whatever_name() -> None:
    assert judged(signed(result(), STRANGERS, "theirs")) is Authenticity.UNKNOWN_KEY
    assert judged(signed(result(), STRANGERS, "new")) is Authenticity.WRONG


def test_a_signature_does_not_hold_under_another_keys_name() -> None:
    assert judged(with_header(signed(result()), "signature-key-id", b"old")) is Authenticity.WRONG


@pytest.mark.parametrize(
    "name,value",
    [
        ("correlation-id", str(SECOND).encode()),
        ("correlation-id", None),
        ("attempt", b"2"),
        ("attempt", None),
        ("ce_type", b"workflow.result"),
        ("reply-topic", b"eavesdropper"),
        ("reply-topic", None),
        ("reply-partition", b"4"),
        ("signature", b"v1=00"),
        ("signature", b"\xff"),
    ],
    ids=str,
)
def test_a_genuine_message_with_one_of_these_headers_changed_is_none_any_more(name: str, value: bytes | None) -> None:
    assert judged(with_header(signed(request()), name, value)) is Authenticity.WRONG


def test_a_genuine_message_with_another_body_is_none_any_more() -> None:
    assert judged(replace(signed(result()), value=result(SECOND).value)) is Authenticity.WRONG
    assert judged(replace(signed(result()), value=b"")) is Authenticity.WRONG


@pytest.mark.parametrize("name", ["correlation-id", "reply-topic", "signature", "attempt"])
def test_a_header_that_stands_twice_makes_a_message_none_of_ours(name: str) -> None:
    # Given a genuine message, to which a second header was added before or behind the first
    message = signed(request())

    for headers in ([(name, b"x"), *message.headers], [*message.headers, (name, b"x")]):
        # Then it is refused, whichever of the two a reader would go by
        assert judged(replace(message, headers=headers)) is Authenticity.AMBIGUOUS


def test_headers_that_are_nobodys_may_be_added_under_way() -> None:
    assert judged(with_header(signed(request()), "traceparent", b"00-1-2-01")) is Authenticity.GENUINE


@given(st.lists(st.binary(max_size=4), min_size=6, max_size=6), st.lists(st.binary(max_size=4), min_size=6, max_size=6))
def test_two_messages_share_their_signed_bytes_only_if_they_are_the_same(one: list[bytes], other: list[bytes]) -> None:
    names = ["correlation-id", "attempt", "ce_type", "reply-topic", "reply-partition"]

    def signed_bytes(parts: list[bytes]) -> bytes:
        return canonical(dict(zip(names, parts[:5], strict=True)), parts[5])

    assert (signed_bytes(one) == signed_bytes(other)) == (one == other)


def test_the_signature_is_the_one_that_the_contract_shows() -> None:
    # Given the example of docs/security.md, for those who write a client in another language
    page = (Path(__file__).parents[3] / "docs" / "security.md").read_text(encoding="utf-8")
    headers = {
        "correlation-id": b"018f0000-0000-7000-8000-000000000000",
        "attempt": b"1",
        "ce_type": b"workflow.result",
    }
    # When it is worked out by hand
    parts = [b"workflow-events/v1", *headers.values(), b"", b"", b"{}"]
    signed_bytes = b"".join(struct.pack(">Q", len(part)) + part for part in parts)
    by_hand = "v1=" + hmac.new(b"k" * 32, signed_bytes, "sha256").hexdigest()
    # Then code and page say the same
    assert signature(b"k" * 32, headers, b"{}") == by_hand.encode()
    assert by_hand in page


def test_a_message_that_is_tried_again_is_not_signed_twice() -> None:
    signatures = Signatures({"new": NEW})

    once = signatures.sign(request())

    assert signatures.sign(once) is once


def test_a_message_that_is_no_event_is_not_vouched_for() -> None:
    plain = OutgoingMessage("t", b"bytes")

    assert Signatures({"new": NEW}).sign(plain) is plain


def test_a_genuine_message_does_not_belong_on_every_topic() -> None:
    signatures = Signatures({"new": NEW})

    # A copy of a result among the requests would be refused as a request, and its requester told so in our name.
    assert not signatures.admits(signed(result()), REQUEST_TYPES)
    assert signatures.admits(signed(result()), RESULT_TYPES)
    assert signatures.refused == {"misplaced": 1}


def test_a_genuine_message_without_a_type_belongs_on_no_topic_of_events() -> None:
    made = with_header(with_header(result(), "ce_type", None), "signature-key-id", b"new")
    headers = {**dict(made.headers), "attempt": b"1"}
    message = replace(made, headers=[*headers.items(), ("signature", signature(NEW, headers, made.value))])
    signatures = Signatures({"new": NEW})

    assert not signatures.admits(message, RESULT_TYPES)
    assert signatures.refused == {"misplaced": 1}
    assert signatures.admits(message)


def test_what_is_refused_is_counted_and_logged_seldom_and_without_its_content(caplog: pytest.LogCaptureFixture) -> None:
    signatures = Signatures({"new": NEW})
    forged = with_header(result(), "signature", b"secret-in-a-header")

    assert not signatures.admits(result())
    assert caplog.messages == [
        (
            "Ignored a message on topic '': unsigned (1 ignored so far). If it was one of ours, give its sender a key of "
            "KAFKA_SIGNING_KEYS."
        )
    ]
    for _ in range(99):
        signatures.admits(forged, topic="results")

    assert signatures.refused == {"unsigned": 1, "unknown_key": 99}
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 7  # 1, 2, 4, ... 64
    assert "'results'" in caplog.text
    assert "secret-in-a-header" not in caplog.text
    assert str(FIRST) not in caplog.text


def test_no_keys_no_signatures_and_no_key_in_sight() -> None:
    key = base64.b64encode(NEW).decode()
    settings = KafkaSettings(_env_file=None, signing_keys=f"new:{key},old:{base64.b64encode(OLD).decode()}")
    signatures = Signatures.of(settings)

    assert Signatures.of(KafkaSettings(_env_file=None)) is None
    assert repr(signatures) == "Signatures(signing with 'new', verifying ['new', 'old'])"
    assert key not in f"{signatures!r}{signatures.__dict__ and ''}{settings!r}{settings.model_dump_json()}"
    assert judged(signatures.sign(result()) if signatures else result()) is Authenticity.GENUINE

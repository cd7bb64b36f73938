"""Whatever lies on a topic, reading it ends in an event or in a refusal, and never in anything else."""

from __future__ import annotations

import json
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka.structs import ConsumerRecord

from langgraph_integration.dead_letters import Refusal, answer_to_invalid, dead_letter, read_request
from tests.fuzz.corpus import COUNT, SEED, corpus
from tests.fuzz.messages import FuzzMessage
from workflow_events import InvalidEventError, PendingRequest, WorkflowEvent, WorkflowResultEvent, wire
from workflow_events.dead_letters import DeadLetterReason, read_letters, without_value
from workflow_events.replies.correlator import Correlator
from workflow_events.replies.records import Reply

# Making a hundred thousand messages takes minutes, and the first test waits for them.
pytestmark = pytest.mark.timeout(120 + COUNT // 25)

MAX_BYTES = 50_000

KNOWN = tuple(uuid4() for _ in range(3))


@pytest.fixture(scope="module")
def messages() -> list[FuzzMessage]:
    return corpus(COUNT, known=KNOWN)


def record(message: FuzzMessage, offset: int = 0, topic: str = "t") -> Any:
    return ConsumerRecord(topic, 0, offset, 0, 0, message.key, message.value, None, 0, 0, message.headers)


def read(message: FuzzMessage) -> tuple[WorkflowEvent | None, Refusal | None]:
    try:
        return read_request(message.value, max_bytes=MAX_BYTES), None
    except Refusal as refusal:
        return None, refusal


def test_a_request_is_read_or_refused_for_a_reason_and_what_is_said_can_be_published(
    messages: list[FuzzMessage],
) -> None:
    seen = {"read": 0, **{reason.value: 0 for reason in DeadLetterReason}}
    for number, message in enumerate(messages):
        found = record(message, number)
        event, refusal = read(message)
        if refusal is not None:
            seen[refusal.code] += 1
            letter = dead_letter(found, refusal, topic="t.dlq")
            # The letter holds the original bytes, and is read as what it is, whatever headers the message brought.
            [back] = read_letters([record(FuzzMessage(letter.value, letter.key, tuple(letter.headers)), topic="t.dlq")])
            assert (back.value, back.code, back.origin.offset) == (message.value or b"", refusal.code, number)
            assert without_value(letter).value == b""
            answer = answer_to_invalid(found, refusal, max_bytes=MAX_BYTES)
            if answer is not None:
                sent = wire.result_message(answer, topic="r")
                assert wire.decode_result(sent.value) == answer
        if event is not None:
            seen["read"] += 1
            assert wire.decode_event(wire.request_message(event, topic="t").value) == event
        wire.return_address_in(found.headers)
    # Every kind of end was there, or this tests less than it says.
    assert min(seen[name] for name in ("read", "invalid-json", "wrong-schema", "oversize")) > COUNT / 500, (SEED, seen)


def test_no_waiter_is_given_anything_but_its_own_result(messages: list[FuzzMessage]) -> None:
    # Given three who wait
    correlator = Correlator("r", max_bytes=MAX_BYTES)
    delivered: list[tuple[UUID, Reply]] = []

    def deliver(one: UUID, reply: Reply) -> None:
        delivered.append((one, reply))

    for one in KNOWN:
        pending = PendingRequest.from_json(
            {
                "correlation_id": str(one),
                "workflow_id": "w",
                "workflow_run_id": "r",
                "reply_topic": "r",
                "reply_cursor": {"0": 0},
                "deadline": "2100-01-01T00:00:00+00:00",
            }
        )
        correlator.register(pending, partial(deliver, one))
    # When everything passes that there is, and their results come last
    records = [record(message, number) for number, message in enumerate(messages)]
    correlator.feed(records)
    early = {one for one, _ in delivered}
    for one in KNOWN:
        result = WorkflowResultEvent(correlation_id=one, workflow_id="w", workflow_run_id="r", result={"own": True})
        sent = wire.result_message(result, topic="r")
        correlator.feed([record(FuzzMessage(sent.value, sent.key, tuple(sent.headers)))])
    # Then each was given a result of its own id, once, and every record was seen
    assert all(reply.event.correlation_id == one for one, reply in delivered)
    assert sorted(one for one, _ in delivered) == sorted(KNOWN)
    assert correlator.counts.seen == COUNT + len(KNOWN)
    assert correlator.counts.malformed > 0
    assert len(early) < len(KNOWN) or correlator.counts.delivered == len(KNOWN)


def test_ids_and_bodies_are_looked_for_without_an_error(messages: list[FuzzMessage]) -> None:
    for message in messages:
        wire.correlation_id_in(message.headers, message.value)
        key = wire.find_correlation_key(message.headers, message.value)
        assert key is None or len(key) == 36
        for decode in (wire.decode_event, wire.decode_result):
            try:
                decode(message.value)
            except InvalidEventError as error:
                json.dumps(str(error)).encode()
                str(error).encode()

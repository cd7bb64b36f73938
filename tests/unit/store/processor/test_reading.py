"""What the store makes of a message: a fact, or something that is kept only to be looked at."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from result_store.facts import (
    DeadLetterFact,
    Fact,
    InvalidFact,
    Place,
    ProgressFact,
    RequestFact,
    ResultFact,
    TopicRole,
)
from result_store.reading import KEPT_BYTES, fact_of, kind_of, topic_roles
from workflow_events import EventType, KafkaSettings, WorkflowEvent, WorkflowEventPayload, WorkflowResultEvent, wire
from workflow_events.dead_letters import DeadLetterReason, LetterPosition, ReplayStage, letter_message, note_message
from workflow_events.signing import Signatures
from workflow_events.wire import OutgoingMessage

SETTINGS = KafkaSettings(_env_file=None, max_read_bytes=2000)
SIGNATURES = Signatures({"k1": b"a" * 32})
SECRET = "hunter2"


@dataclasses.dataclass
class Stored:
    value: bytes | None = b"{}"
    headers: list[tuple[str, bytes | None]] = dataclasses.field(default_factory=list)
    key: bytes | None = b"key"
    topic: str = "topic"
    partition: int = 3
    offset: int = 17
    timestamp: int = 1_700_000_000_000


def stored(message: OutgoingMessage, **changes: Any) -> Stored:
    return dataclasses.replace(Stored(message.value, list(message.headers), message.key, message.topic), **changes)


def request(**fields: Any) -> WorkflowEvent:
    given: dict[str, Any] = {"event_type": "workflow.triggered", "source": "airflow", "workflow_id": "w"}
    return WorkflowEvent(**{**given, "workflow_run_id": "r", **fields})


def progress(about: UUID | None, kind: str = "workflow.progress") -> WorkflowEvent:
    data = {} if about is None else {"correlation_id": str(about)}
    return request(event_type=kind, source="langgraph", payload=WorkflowEventPayload(data={**data, "kind": "custom"}))


def result(**fields: Any) -> WorkflowResultEvent:
    return WorkflowResultEvent(**{"correlation_id": uuid4(), "workflow_id": "w", "workflow_run_id": "r", **fields})


def read(record: Stored, role: TopicRole, signatures: Signatures | None = None) -> Fact | None:
    return fact_of(record, role, SETTINGS, signatures)


def invalid(record: Stored, role: TopicRole, signatures: Signatures | None = None) -> InvalidFact:
    fact = read(record, role, signatures)
    assert isinstance(fact, InvalidFact)
    return fact


def test_a_request_a_result_and_progress_become_facts_with_their_bytes_and_places() -> None:
    # Given one of each
    asked, answered, about = request(), result(), uuid4()
    told = progress(about)
    requests = stored(wire.request_message(asked, topic="t"))
    results = stored(wire.result_message(answered, topic="t"))
    # When they are read
    # Then each is what it is
    assert read(requests, TopicRole.REQUESTS) == RequestFact(asked, requests.value or b"")
    assert read(results, TopicRole.RESULTS) == ResultFact(answered, results.value or b"")
    fact = read(stored(wire.about_message(told, topic="t", correlation_id=about)), TopicRole.PROGRESS)
    assert isinstance(fact, ProgressFact)
    assert (fact.event, fact.correlation_id, kind_of(fact)) == (told, about, "progress")


def test_a_plain_clients_progress_is_found_by_its_payload_and_one_that_names_no_request_is_kept_to_be_looked_at() -> (
    None
):
    about = uuid4()
    bare = Stored(wire.encode(progress(about)))
    fact = read(bare, TopicRole.PROGRESS)
    assert isinstance(fact, ProgressFact)
    assert fact.correlation_id == about
    nameless = invalid(Stored(wire.encode(progress(None))), TopicRole.PROGRESS)
    assert nameless.error_type == "wrong-schema"
    assert "correlation-id" in nameless.error


@pytest.mark.parametrize("kind", [EventType.WORKFLOW_COMPLETED, "somebody.else"])
def test_an_event_that_asks_for_nothing_is_passed_over(kind: str) -> None:
    event = request(event_type=kind)
    assert read(Stored(wire.encode(event)), TopicRole.REQUESTS) is None
    assert read(Stored(wire.encode(event)), TopicRole.PROGRESS) is None
    assert kind_of(None) == "other"


def test_a_message_that_is_no_event_is_kept_with_its_beginning_its_id_and_no_values_in_the_sentence() -> None:
    # Given a result whose status is none, with a secret in it
    found = uuid4()
    value = (
        f'{{"correlation_id": "{found}", "workflow_id": "w", "workflow_run_id": "r", "status": "{SECRET}"}}'.encode()
    )
    # When it is read
    fact = invalid(Stored(value, [("a", None)]), TopicRole.RESULTS)
    # Then its bytes are there to be looked at, and the sentence holds nothing of them
    assert (fact.error_type, fact.correlation_id, fact.value) == ("wrong-schema", found, value)
    assert (fact.headers, fact.key, fact.size) == ((("a", None),), b"key", len(value))
    assert fact.timestamp == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert "status" in fact.error
    assert SECRET not in fact.error


@pytest.mark.parametrize("value", [None, b"", b"\xff{", b"[" * 1000], ids=["tombstone", "empty", "bytes", "deep"])
@pytest.mark.parametrize("role", [TopicRole.REQUESTS, TopicRole.RESULTS, TopicRole.PROGRESS])
def test_what_is_no_json_is_told_apart_from_what_is_the_wrong_json(value: bytes | None, role: TopicRole) -> None:
    assert invalid(Stored(value), role).error_type == "invalid-json"
    assert invalid(Stored(b"[1]"), role).error_type == "wrong-schema"


def test_a_message_above_the_limit_is_not_looked_into_and_is_kept_in_part() -> None:
    found = uuid4()
    value = b'{"correlation_id": "%s", "x": "%s"}' % (str(found).encode(), b"x" * (KEPT_BYTES + 1))
    fact = invalid(Stored(value), TopicRole.RESULTS)
    assert (fact.error_type, fact.correlation_id, fact.size) == ("oversize", None, len(value))
    assert fact.value == value[:KEPT_BYTES]
    named = invalid(Stored(value, [("correlation-id", str(found).encode())]), TopicRole.RESULTS)
    assert named.correlation_id == found


def test_where_keys_are_set_only_what_is_signed_for_this_topic_becomes_a_fact() -> None:
    # Given a signed request, and what others might put in its place
    genuine = SIGNATURES.sign(wire.request_message(request(), topic="t"))
    foreign = Signatures({"k1": b"b" * 32}).sign(wire.request_message(request(), topic="t"))
    answer = SIGNATURES.sign(wire.result_message(result(), topic="t"))
    altered = dataclasses.replace(genuine, value=wire.encode(request()))
    # When they are read
    # Then the genuine one counts, on its topic alone
    assert isinstance(read(stored(genuine), TopicRole.REQUESTS, SIGNATURES), RequestFact)
    unsigned = stored(wire.request_message(request(), topic="t"))
    assert invalid(unsigned, TopicRole.REQUESTS, SIGNATURES).error_type == "unsigned"
    for message, role in ((foreign, TopicRole.REQUESTS), (altered, TopicRole.REQUESTS), (answer, TopicRole.REQUESTS)):
        assert invalid(stored(message), role, SIGNATURES).error_type == "forged"


def test_a_dead_letter_says_why_and_whence_and_a_note_about_one_says_nothing() -> None:
    asked = request()
    original = stored(wire.request_message(asked, topic="requests"), partition=2, offset=5)
    letter = letter_message(original, DeadLetterReason.UNKNOWN_GRAPH, "no such graph", topic="requests.dlq")
    fact = read(stored(letter), TopicRole.DEAD_LETTERS)
    assert fact == DeadLetterFact(
        place=Place("requests.dlq", 3, 17),
        code="unknown-graph",
        reason="no such graph",
        correlation_id=asked.event_id,
        origin=Place("requests", 2, 5),
        size=len(original.value or b""),
        timestamp=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
    )
    note = note_message(LetterPosition("requests.dlq", 3, 17), ReplayStage.BEGUN)
    assert read(stored(note), TopicRole.DEAD_LETTERS) is None


@given(
    role=st.sampled_from(TopicRole),
    value=st.one_of(st.none(), st.binary(max_size=60), st.just(wire.encode(request()))),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["correlation-id", "ce_type", "dead-letter-topic", "dead-letter-offset", "signature"]),
            st.one_of(st.none(), st.binary(max_size=40)),
        ),
        max_size=4,
    ),
    timestamp=st.integers(-2, 2**63),
    signed=st.booleans(),
)
def test_whatever_lies_on_a_topic_reading_it_raises_nothing(
    role: TopicRole,
    value: bytes | None,
    headers: list[tuple[str, bytes | None]],
    timestamp: int,
    signed: bool,  # noqa: FBT001 - Hypothesis calls it
) -> None:
    fact = read(Stored(value, headers, timestamp=timestamp), role, SIGNATURES if signed else None)
    assert getattr(fact, "place", None) in {None, Place("topic", 3, 17)}
    assert getattr(fact, "error_type", "") != "poison", "reading it failed"


def test_what_cannot_be_foreseen_is_kept_as_poison(caplog: pytest.LogCaptureFixture) -> None:
    # Given a record that breaks whoever reads it
    broken = Stored(timestamp=None)  # type: ignore[arg-type]
    letter = stored(letter_message(broken, DeadLetterReason.POISON, "", topic="t"))
    letter.headers.append(("dead-letter-offset", 5))  # type: ignore[arg-type]
    # When it is read
    fact = invalid(letter, TopicRole.DEAD_LETTERS)
    # Then it is kept, and the log has the stack
    assert fact.error_type == "poison"
    assert "cannot be read" in caplog.text


def test_every_topic_of_the_settings_has_its_role() -> None:
    assert topic_roles(SETTINGS) == {
        "workflow-events": TopicRole.REQUESTS,
        "workflow-results": TopicRole.RESULTS,
        "workflow-progress": TopicRole.PROGRESS,
        "workflow-events.dlq": TopicRole.DEAD_LETTERS,
        "workflow-results.dlq": TopicRole.DEAD_LETTERS,
        "workflow-control.dlq": TopicRole.DEAD_LETTERS,
    }

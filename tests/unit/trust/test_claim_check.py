"""Large payloads go into a store and come back, or it is told why not."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from workflow_events import (
    ClaimCheckError,
    EventType,
    InvalidEventError,
    KafkaSettings,
    MessageTooLargeError,
    WorkflowEvent,
    WorkflowEventPayload,
    WorkflowResultEvent,
    wire,
)
from workflow_events.events import ClaimCheck
from workflow_events.outgoing import Outgoing
from workflow_events.payloads import Payloads
from workflow_events.signing_keys import new_key
from workflow_events.wire import OutgoingMessage

LARGE = {"text": "x" * 10_000, "ü": [1, 2.5, None, {"deep": True}]}


@pytest.fixture
def settings(tmp_path: Path) -> KafkaSettings:
    return KafkaSettings(_env_file=None, claim_check_store=str(tmp_path / "store"), claim_check_threshold=2_000)


def request(data: dict[str, Any] = LARGE, **fields: Any) -> WorkflowEvent:
    return WorkflowEvent(
        event_type=EventType.WORKFLOW_TRIGGERED,
        source="airflow",
        workflow_id="w",
        workflow_run_id="r",
        payload=WorkflowEventPayload(data=data, graph="g"),
        **fields,
    )


def result(data: dict[str, Any] = LARGE, **fields: Any) -> WorkflowResultEvent:
    return WorkflowResultEvent(
        **{"correlation_id": uuid4(), "workflow_id": "w", "workflow_run_id": "r", "result": data, **fields}
    )


def message(event: WorkflowEvent | WorkflowResultEvent) -> OutgoingMessage:
    if isinstance(event, WorkflowEvent):
        return wire.request_message(event, topic="t")
    return wire.result_message(event, topic="t")


def files(settings: KafkaSettings) -> list[Path]:
    return [path for path in Path(settings.claim_check_store or "").rglob("*") if path.is_file()]


@pytest.mark.parametrize("event", [request(), result()], ids=["request", "result"])
def test_a_large_payload_is_put_away_and_comes_back_as_it_was(
    settings: KafkaSettings, event: WorkflowEvent | WorkflowResultEvent
) -> None:
    # When it is published
    payloads = Payloads(settings)
    sent = payloads.put(message(event))
    # Then what travels is small and says what is in the store
    assert len(sent.value) < 1_000
    assert sent.headers == message(event).headers
    got = wire.decode_result(sent.value) if isinstance(event, WorkflowResultEvent) else wire.decode_event(sent.value)
    assert got.claim_check is not None
    # And another process with the same store has the same event
    assert Payloads(settings).take(got) == event


@pytest.mark.parametrize("event", [request(), result()], ids=["request", "result"])
async def test_it_is_the_same_in_an_event_loop(
    settings: KafkaSettings, event: WorkflowEvent | WorkflowResultEvent
) -> None:
    payloads = Payloads(settings)

    sent = await payloads.aput(message(event))

    if isinstance(event, WorkflowResultEvent):
        assert await payloads.atake(wire.decode_result(sent.value)) == event
    else:
        assert await payloads.atake(wire.decode_event(sent.value)) == event


def test_to_publish_again_puts_nothing_new_there(settings: KafkaSettings) -> None:
    event = result()

    Payloads(settings).put(message(event))
    Payloads(settings).put(message(event))

    assert len(files(settings)) == 1


def test_a_small_message_and_one_without_a_payload_go_as_they_are(settings: KafkaSettings) -> None:
    small = message(result({"n": 1}))
    letter = OutgoingMessage("t.dlq", b"x" * 10_000, headers=[("ce_type", b"workflow.result")])

    assert Payloads(settings).put(small) is small
    assert Payloads(settings).put(letter) is letter
    assert files(settings) == []


def test_a_message_that_was_signed_before_is_not_changed(settings: KafkaSettings) -> None:
    signing = settings.replace(signing_keys=new_key("k", bytes(32)))
    before = Outgoing.of(signing.replace(claim_check_store=None))
    now = Outgoing.of(signing)
    assert before is not None
    assert now is not None

    old = before.ready(message(result()))

    assert now.ready(old) is old


def test_a_dead_letter_keeps_its_bytes_and_is_not_vouched_for(settings: KafkaSettings) -> None:
    outgoing = Outgoing.of(settings.replace(signing_keys=new_key("k", bytes(32))))
    assert outgoing is not None
    letter = message(request())
    letter.headers.append(("dead-letter-reason", b"unknown graph"))

    assert outgoing.ready(letter) is letter
    assert files(settings) == []


def reference(settings: KafkaSettings, event: WorkflowResultEvent | None = None) -> WorkflowResultEvent:
    return wire.decode_result(Payloads(settings).put(message(event or result())).value)


def test_a_payload_that_is_missing_is_told_with_what_to_check(settings: KafkaSettings) -> None:
    event = reference(settings)
    files(settings)[0].unlink()

    with pytest.raises(
        ClaimCheckError, match=r"is not in the store .*KAFKA_CLAIM_CHECK_STORE names the same store"
    ) as e:
        Payloads(settings).take(event)

    assert str(event.correlation_id) in str(e.value)


def test_a_payload_that_has_expired_is_not_even_looked_for(settings: KafkaSettings) -> None:
    event = reference(settings)
    later = Payloads(settings, now=lambda: datetime.now(tz=UTC) + timedelta(days=8))

    with pytest.raises(ClaimCheckError, match=r"was kept until .*ask again, and raise KAFKA_CLAIM_CHECK_RETENTION"):
        later.take(event)


@pytest.mark.parametrize("changed", [b'{"text": "another"}', b""], ids=["longer or shorter", "empty"])
def test_a_payload_of_another_size_is_refused_before_it_is_read(settings: KafkaSettings, changed: bytes) -> None:
    event = reference(settings)
    files(settings)[0].write_bytes(changed)

    with pytest.raises(ClaimCheckError, match=r"changed after it was put there: find out who may write"):
        Payloads(settings).take(event)


async def test_a_payload_of_the_same_size_and_another_digest_is_refused(settings: KafkaSettings) -> None:
    event = reference(settings)
    held = files(settings)[0]
    held.write_bytes(held.read_bytes().replace(b"xxx", b"yyy", 1))

    with pytest.raises(ClaimCheckError, match="changed after it was put there"):
        await Payloads(settings).atake(event)


def test_without_a_store_a_reference_says_which_setting_is_missing(settings: KafkaSettings) -> None:
    event = reference(settings)

    with pytest.raises(ClaimCheckError, match="set KAFKA_CLAIM_CHECK_STORE to the one that the other side has"):
        Payloads(settings.replace(claim_check_store=None)).take(event)


def test_a_payload_above_the_limit_is_neither_put_nor_taken(settings: KafkaSettings) -> None:
    event = reference(settings)
    strict = Payloads(settings.replace(claim_check_max_bytes=2_000))

    with pytest.raises(ClaimCheckError, match="raise KAFKA_CLAIM_CHECK_MAX_BYTES here"):
        strict.take(event)
    with pytest.raises(MessageTooLargeError, match="KAFKA_CLAIM_CHECK_MAX_BYTES on both sides"):
        strict.put(message(result()))


@pytest.mark.parametrize(
    "check",
    [
        {"sha256": "../../../../etc/passwd"},
        {"sha256": "/etc/passwd"},
        {"sha256": "a" * 63 + "/"},
        {"sha256": "A" * 64},
        {"size": -1},
        {"expires_at": "never"},
    ],
    ids=str,
)
def test_a_reference_that_is_no_digest_makes_the_event_invalid(settings: KafkaSettings, check: dict[str, Any]) -> None:
    body = json.loads(Payloads(settings).put(message(result())).value)
    body["claim_check"].update(check)

    with pytest.raises(InvalidEventError, match="claim_check"):
        wire.decode_result(json.dumps(body).encode())


def test_no_path_and_no_address_of_the_wire_is_followed(settings: KafkaSettings, tmp_path: Path) -> None:
    # Given a file outside of the store, and a reference that names it in every way it can
    secret = tmp_path / "secret.json"
    secret.write_text('{"stolen": true}')
    body = json.loads(Payloads(settings).put(message(result())).value)
    for name in ("key", "path", "place", "url", "store"):
        body["claim_check"][name] = f"file://{secret}"
    # When it is taken, then the payload is the one in the store
    event = wire.decode_result(json.dumps(body).encode())
    assert Payloads(settings).take(event).result == LARGE


def test_an_event_cannot_have_another_requests_payload_taken(settings: KafkaSettings) -> None:
    # Given a result in the store, and a stranger who knows its digest
    theirs = reference(settings)
    # When the stranger's own event refers to it
    forged = theirs.model_copy(update={"correlation_id": UUID(int=7)})
    # Then it is not found
    with pytest.raises(ClaimCheckError, match="is not in the store"):
        Payloads(settings).take(forged)


def test_a_payload_that_is_no_object_is_told(settings: KafkaSettings) -> None:
    import hashlib

    event = reference(settings)
    held, body = files(settings)[0], b"[1, 2]"
    digest = hashlib.sha256(body).hexdigest()
    held.with_name(digest).write_bytes(body)
    assert event.claim_check is not None
    check = ClaimCheck(sha256=digest, size=len(body), expires_at=event.claim_check.expires_at)

    with pytest.raises(ClaimCheckError, match="no object of JSON values"):
        Payloads(settings).take(event.model_copy(update={"claim_check": check}))


async def test_of_many_results_one_that_cannot_be_had_costs_no_other(settings: KafkaSettings) -> None:
    kept, lost = result(), result({"lost": "y" * 10_000})
    events = [reference(settings, kept), reference(settings, lost), None, result({"n": 1})]
    next(path for path in files(settings) if str(lost.correlation_id) in str(path)).unlink()

    for taken in (Payloads(settings).take_each(events), await Payloads(settings).atake_each(events)):
        assert taken[0] == kept
        assert taken[1] is not None
        assert taken[1].status == "error"
        assert taken[1].error_detail is not None
        assert taken[1].error_detail.retryable is False
        assert "is not in the store" in (taken[1].error or "")
        assert taken[2:] == [None, events[3]]


def test_what_is_older_than_the_retention_is_purged_and_nothing_else(settings: KafkaSettings) -> None:
    old, new = reference(settings), reference(settings)
    aged = next(path for path in files(settings) if str(old.correlation_id) in str(path))
    os.utime(aged, (0, 0))
    stranger = Path(settings.claim_check_store or "") / "notes.txt"
    stranger.write_text("not ours")
    os.utime(stranger, (0, 0))

    assert Payloads(settings).purge() == 1

    assert Payloads(settings).take(new).result == LARGE
    assert stranger.exists()


def test_a_library_that_is_not_installed_is_named(settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from workflow_events import ConfigurationError

    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'workflow-events\[claim-check\]'"):
        Payloads(settings).put(message(result()))


def test_nothing_is_made_ready_where_nothing_is_set(settings: KafkaSettings) -> None:
    assert Outgoing.of(KafkaSettings(_env_file=None)) is None
    assert Outgoing.of(settings) is not None


def test_events_without_a_reference_look_as_they_did() -> None:
    assert b"claim_check" not in message(request()).value + message(result()).value

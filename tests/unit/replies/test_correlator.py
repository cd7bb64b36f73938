"""The rules by which a record finds its waiter, by example."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from workflow_events import EventType, PendingRequest, ResultStatus, WorkflowEvent, WorkflowResultEvent, wire
from workflow_events.replies.correlator import Correlator, Verdict, judge
from workflow_events.replies.records import RecordPosition, Reply
from workflow_events.signing import Signatures


@dataclass
class Record:
    value: bytes | None
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)
    partition: int = 0
    offset: int = 0


def pending(correlation_id: UUID | None = None, attempt: int = 1) -> PendingRequest:
    return PendingRequest(
        correlation_id=correlation_id or uuid4(),
        workflow_id="w",
        workflow_run_id="r",
        attempt=attempt,
        reply_topic="t",
        reply_cursor={},
        deadline=datetime.max.replace(tzinfo=UTC),
    )


def result(correlation_id: UUID, *, status: str = "success", attempt: int | None = None) -> WorkflowResultEvent:
    return WorkflowResultEvent(
        correlation_id=correlation_id,
        workflow_id="w",
        workflow_run_id="r",
        status=ResultStatus(status),
        attempt=attempt,
    )


def record(event: WorkflowResultEvent, *, headers: bool = True) -> Record:
    message = wire.result_message(event, topic="t")
    return Record(message.value, list(message.headers) if headers else [], partition=2, offset=41)


def test_a_waiter_gets_its_result_with_its_place_and_size() -> None:
    # Given a waiter
    correlator, got, mine = Correlator("t"), list[Reply](), pending()
    waiter = correlator.register(mine, got.append)
    # When its result passes among strangers
    own = record(result(mine.correlation_id))
    correlator.feed([record(result(uuid4())), own, record(result(uuid4()))])
    # Then it is told, once, and forgotten
    assert [reply.event.correlation_id for reply in got] == [mine.correlation_id]
    assert got[0].position == RecordPosition("t", 2, 41)
    assert got[0].size == len(own.value or b"")
    assert not correlator.is_waiting(waiter)
    assert len(correlator) == 0
    assert (correlator.counts.seen, correlator.counts.delivered) == (3, 1)


def test_a_duplicate_reaches_nobody() -> None:
    correlator, got, mine = Correlator("t"), list[Reply](), pending()
    correlator.register(mine, got.append)
    correlator.feed([record(result(mine.correlation_id))] * 3)
    assert len(got) == 1


def test_a_bare_message_without_headers_is_matched_by_its_body() -> None:
    correlator, got, mine = Correlator("t"), list[Reply](), pending()
    correlator.register(mine, got.append)
    correlator.feed([record(result(mine.correlation_id), headers=False)])
    assert len(got) == 1


def test_two_who_wait_for_one_request_are_both_told() -> None:
    correlator, one, two, mine = Correlator("t"), list[Reply](), list[Reply](), pending()
    correlator.register(mine, one.append)
    correlator.register(mine, two.append)
    correlator.feed([record(result(mine.correlation_id))])
    assert len(one) == len(two) == 1


def test_who_has_left_is_not_told_and_the_other_is() -> None:
    correlator, one, two, mine = Correlator("t"), list[Reply](), list[Reply](), pending()
    leaver = correlator.register(mine, one.append)
    correlator.register(mine, two.append)
    correlator.forget(leaver)
    correlator.forget(leaver)
    correlator.feed([record(result(mine.correlation_id))])
    assert (len(one), len(two)) == (0, 1)


def test_what_is_no_result_is_counted_and_the_waiter_goes_on_waiting() -> None:
    correlator, got, mine = Correlator("t"), list[Reply](), pending()
    correlator.register(mine, got.append)
    key = str(mine.correlation_id).encode()
    forged = json.dumps({"correlation_id": str(uuid4()), "workflow_id": "w", "workflow_run_id": "r"}).encode()
    correlator.feed(
        [
            Record(b"{", [("correlation-id", key)]),
            Record(None, [("correlation-id", key)]),
            Record(forged, [("correlation-id", key)]),
            Record(b"\xff\x00"),
            Record(None),
        ]
    )
    assert got == []
    assert (correlator.counts.malformed, correlator.counts.foreign) == (2, 1)
    correlator.feed([record(result(mine.correlation_id))])
    assert len(got) == 1


def test_a_waiter_may_stop_waiting_or_begin_while_it_is_told() -> None:
    correlator, got, mine = Correlator("t"), list[Reply](), pending()

    def deliver(reply: Reply) -> None:
        got.append(reply)
        correlator.forget(waiter)
        correlator.register(pending(), got.append)

    waiter = correlator.register(mine, deliver)
    correlator.feed([record(result(mine.correlation_id))] * 2)
    assert (len(got), len(correlator)) == (1, 1)


@pytest.mark.parametrize(
    "status,answered,waiting,verdict",
    [
        ("success", 1, 3, Verdict.OWN),
        ("success", None, 3, Verdict.OWN),
        ("error", 3, 3, Verdict.OWN),
        ("error", 4, 3, Verdict.OWN),
        ("error", None, 3, Verdict.OWN),
        ("error", 2, 3, Verdict.STALE),
        ("failure", 2, 3, Verdict.STALE),
        ("cancelled", 2, 3, Verdict.STALE),
        ("interrupted", 2, 3, Verdict.STALE),
    ],
)
def test_a_failure_of_an_earlier_attempt_is_stale_and_a_success_never_is(
    status: str, answered: int | None, waiting: int, verdict: Verdict
) -> None:
    mine = pending(attempt=waiting)
    assert judge(mine, result(mine.correlation_id, status=status, attempt=answered)) is verdict


def test_anothers_result_is_foreign() -> None:
    assert judge(pending(), result(uuid4())) is Verdict.FOREIGN


def test_a_stale_failure_is_counted_and_the_later_answer_delivered() -> None:
    correlator, got, mine = Correlator("t"), list[Reply](), pending(attempt=2)
    correlator.register(mine, got.append)
    correlator.feed([record(result(mine.correlation_id, status="error", attempt=1))])
    assert (got, correlator.counts.stale) == ([], 1)
    correlator.feed([record(result(mine.correlation_id, status="error", attempt=2))])
    assert [reply.event.attempt for reply in got] == [2]


def test_what_passes_is_counted_over_all_batches() -> None:
    correlator, mine = Correlator("t"), pending(attempt=2)
    correlator.register(mine, lambda _: None)
    stale = record(result(mine.correlation_id, status="error", attempt=1))
    forged = record(result(uuid4()))
    forged.headers = stale.headers
    for _ in range(2):
        correlator.feed([stale, forged, record(result(uuid4())), Record(b"{", stale.headers)])
    counts = correlator.counts
    assert (counts.seen, counts.stale, counts.foreign, counts.malformed, counts.delivered) == (8, 2, 2, 2, 0)


def test_keys_that_were_found_already_must_be_those_of_the_records() -> None:
    correlator, got, mine = Correlator("t"), list[Reply](), pending()
    correlator.register(mine, got.append)
    own = record(result(mine.correlation_id))
    with pytest.raises(ValueError, match="shorter"):
        correlator.feed([own], [])
    correlator.feed([own, own], [None, str(mine.correlation_id).encode()])
    assert len(got) == 1


def test_a_body_above_the_limit_is_counted_and_not_read_and_one_at_the_limit_is() -> None:
    mine = pending()
    own = record(result(mine.correlation_id))
    size = len(own.value or b"")
    for limit, found in ((size - 1, 0), (size, 1)):
        correlator, got = Correlator("t", max_bytes=limit), list[Reply]()
        correlator.register(mine, got.append)
        correlator.feed([own, own])
        assert (len(got), correlator.counts.oversize) == (found, 2 * (1 - found))


def test_only_a_result_that_is_signed_with_our_key_reaches_a_waiter(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = Signatures({"k": b"o" * 32}), Signatures({"k": b"s" * 32})
    correlator, got, mine = Correlator("replies", ours), list[Reply](), pending()
    correlator.register(mine, got.append)
    answer = wire.result_message(result(mine.correlation_id), topic="t")
    request = wire.request_message(
        WorkflowEvent(
            event_id=mine.correlation_id,
            event_type=EventType.WORKFLOW_TRIGGERED,
            source="x",
            workflow_id="w",
            workflow_run_id="r",
        ),
        topic="t",
        reply_to=wire.ReturnAddress("t"),
    )

    # When there come one without a signature, a stranger's, our own of another type, and the answer
    messages = [answer, theirs.sign(answer), ours.sign(request), ours.sign(answer)]
    correlator.feed([Record(message.value, list(message.headers)) for message in messages])

    # Then it has the answer, and the others are counted, by what they are, and told of with the topic
    assert [reply.event.correlation_id for reply in got] == [mine.correlation_id]
    assert (correlator.counts.untrusted, correlator.counts.malformed) == (3, 0)
    assert ours.refused == {"unsigned": 1, "wrong": 1, "misplaced": 1}
    assert "'replies'" in caplog.text


def test_a_result_that_was_found_elsewhere_is_nobodys_once_its_waiter_has_gone() -> None:
    correlator, got, mine = Correlator("t"), list[Reply](), pending()
    waiter = correlator.register(mine, got.append)
    found = Reply(result(mine.correlation_id), None, 100)
    correlator.forget(waiter)
    correlator.hand_over(found, waiter.key)
    assert got == []
    correlator.add(waiter)
    correlator.hand_over(found, waiter.key)
    assert got == [found]

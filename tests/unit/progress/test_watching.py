"""Which events find which watch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.unit.replies.memory_log import LoggedRecord
from workflow_events import PendingRequest, WorkflowEvent
from workflow_events.events import EventType, WorkflowEventPayload
from workflow_events.progress.clocks import Sign
from workflow_events.progress.watching import Watch, Watches, sign_of
from workflow_events.signing import Signatures
from workflow_events.wire import about_message, decode_event

ABOUT = UUID(int=0xABCDEF << 96)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PENDING = PendingRequest(
    correlation_id=ABOUT, workflow_id="w", workflow_run_id="r", reply_topic="t", reply_cursor={}, deadline=NOW
)


def event(what: str = EventType.WORKFLOW_HEARTBEAT, about: object = str(ABOUT), **fields: Any) -> WorkflowEvent:
    data = {"worker": "w-1", "correlation_id": about}
    return WorkflowEvent(
        event_type=what,
        source="langgraph",
        workflow_id="w",
        workflow_run_id="r",
        **{"timestamp": NOW, "payload": WorkflowEventPayload(data=data), **fields},
    )


def record(body: bytes | None, *headers: tuple[str, bytes | None], offset: int = 0) -> LoggedRecord:
    return LoggedRecord(0, offset, body, list(headers), 0, 0.0)


class Told:
    def __init__(self, pending: PendingRequest = PENDING) -> None:
        self.events: list[WorkflowEvent] = []
        self.woken = 0
        self.watches = Watches("p")
        self.watch = Watch(pending, self.events.append, self.wake)
        self.watches.add(self.watch)

    def wake(self) -> None:
        self.woken += 1


OURS = ("correlation-id", str(ABOUT).encode())


@pytest.mark.parametrize("headers", [[OURS], [("correlation-id", str(ABOUT).upper().encode())], []])
def test_an_event_is_found_by_its_header_and_without_one_by_its_payload(
    headers: list[tuple[str, bytes | None]],
) -> None:
    told = Told()
    told.watch.done()
    told.watches.feed([record(event().model_dump_json().encode(), *headers)])
    assert len(told.events) == 1


@pytest.mark.parametrize(
    "body, headers",
    [
        (event(about=str(UUID(int=1))).model_dump_json().encode(), [OURS]),
        (event(about=str(UUID(int=1))).model_dump_json().encode(), []),
        (event(about=None).model_dump_json().encode(), []),
        (event("workflow.cancel").model_dump_json().encode(), [OURS]),
        (b"{", [OURS]),
        (b"\xff", []),
        (b"[" * 100_000, []),
        (None, [OURS]),
        (None, []),
    ],
)
def test_strangers_and_broken_messages_are_passed_over(
    body: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    told = Told()
    told.watch.done()
    told.watches.feed([record(body, *headers)])
    assert told.events == []


def test_where_keys_are_set_only_what_they_signed_is_told() -> None:
    ours, theirs = Signatures({"k": b"k" * 32}), Signatures({"k": b"x" * 32})
    told = Told()
    told.watches = Watches("p", ours)
    told.watches.add(told.watch)
    told.watch.done()
    plain = about_message(event(), topic="p", correlation_id=ABOUT)
    replayed = ours.sign(about_message(event("workflow.cancel"), topic="p", correlation_id=ABOUT))
    genuine = ours.sign(about_message(event(), topic="p", correlation_id=ABOUT))

    told.watches.feed(
        [
            record(one.value, *one.headers, offset=n)
            for n, one in enumerate([plain, theirs.sign(plain), replayed, genuine])
        ]
    )

    assert [one.event_id for one in told.events] == [decode_event(genuine.value).event_id]
    assert told.watches.counts.untrusted == 3


def test_what_is_too_large_is_not_read() -> None:
    told = Told()
    told.watches = Watches("p", max_bytes=1000)
    told.watches.add(told.watch)
    told.watch.done()

    told.watches.feed([record(event().model_dump_json().encode() + b" " * 1000, OURS)])

    assert not told.events
    assert told.watches.counts.oversize == 1


def test_what_comes_before_the_past_is_read_is_kept_and_told_once_in_the_logs_order() -> None:
    told = Told()
    first, second, third = (event().model_dump_json().encode() for _ in range(3))
    # Given that the tail is faster than the look at the past, which comes by what the tail had
    told.watches.feed([record(second, OURS, offset=1)])
    told.watches.feed([record(first, OURS, offset=0), record(second, OURS, offset=1)])
    assert told.events == []
    # When the past is read
    told.watch.done()
    told.watches.feed([record(third, OURS, offset=2), record(second, OURS, offset=1)])
    # Then all is told
    assert [one.model_dump_json().encode() for one in told.events] == [first, second, third]
    assert told.woken == 1


@pytest.mark.parametrize("attempt, seconds, counts", [(2, -3600, True), (3, -3600, True), (1, 1, True), (1, -1, False)])
def test_an_earlier_attempts_run_counts_from_the_retrys_begin(attempt: int, seconds: int, counts: bool) -> None:  # noqa: FBT001
    told = Told(PENDING.model_copy(update={"attempt": 2}).with_clocks(accepted_timeout=5, now=NOW))
    told.watch.done()
    said = event(attempt=attempt, timestamp=NOW + timedelta(seconds=seconds))
    told.watches.feed([record(said.model_dump_json().encode(), OURS)])
    assert bool(told.events) is counts


@pytest.mark.parametrize(
    "data, sign",
    [
        ({"worker": "w-1", "node": "n", "heartbeat_interval": 5}, Sign("workflow.heartbeat", "w-1", "n", 5.0)),
        ({"worker": 1, "node": [], "heartbeat_interval": True}, Sign("workflow.heartbeat")),
        ({}, Sign("workflow.heartbeat")),
    ],
)
def test_what_is_not_as_it_should_be_in_an_event_is_left_out(data: dict[str, Any], sign: Sign) -> None:
    assert sign_of(event(payload=WorkflowEventPayload(data=data))) == sign

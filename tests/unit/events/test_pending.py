from __future__ import annotations

import json
import math
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from workflow_events import InvalidEventError, KafkaSettings, PendingRequest, ResultTimeoutError
from workflow_events.requests import cancel_message, prepare_request
from workflow_events.wire import correlation_key, decode_event, find_correlation_key, return_address_in

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
PENDING = PendingRequest(
    correlation_id=uuid4(),
    workflow_id="w",
    workflow_run_id="r",
    reply_topic="replies",
    reply_cursor={0: 12, 3: 7},
    deadline=NOW + timedelta(seconds=30),
)


def test_a_pending_request_round_trips_through_json_with_its_integer_keys() -> None:
    text = json.dumps(PENDING.to_json())
    assert PendingRequest.from_json(text) == PENDING
    assert PendingRequest.from_json(json.loads(text)) == PENDING
    assert PendingRequest.from_json(json.loads(text)).reply_cursor == {0: 12, 3: 7}


def test_what_is_no_pending_request_is_said_by_field() -> None:
    with pytest.raises(InvalidEventError, match="deadline"):
        PendingRequest.from_json({**PENDING.to_json(), "deadline": "soon"})
    with pytest.raises(InvalidEventError, match="to_json"):
        PendingRequest.from_json("{")


def test_remaining_counts_down_to_the_deadline_and_past_it() -> None:
    assert PENDING.remaining(NOW) == 30
    assert PENDING.remaining(NOW + timedelta(minutes=1)) == -30
    begun = datetime.now(tz=UTC)
    assert 0 <= PENDING.remaining(begun) - PENDING.remaining() <= (datetime.now(tz=UTC) - begun).total_seconds()


def test_a_timeout_names_id_topic_cursor_and_what_to_check_and_can_be_pickled() -> None:
    error = ResultTimeoutError(PENDING, read_to={0: 20, 3: 7})
    for said in (
        str(PENDING.correlation_id),
        "'replies'",
        "{0:12, 3:7}",
        "{0:20, 3:7}",
        "worker",
        "2026-11-21T10:00:30",
    ):
        assert said in str(error)
    assert isinstance(error, TimeoutError)
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert copy.pending == PENDING


def test_a_timeout_whose_reader_was_in_trouble_says_so() -> None:
    assert "connection refused" in str(ResultTimeoutError(PENDING, cause="connection refused"))
    assert "can reach the broker" in str(ResultTimeoutError(PENDING))


def test_a_prepared_request_carries_deadline_return_address_and_cursor() -> None:
    settings = KafkaSettings(_env_file=None)
    prepared = prepare_request(
        settings,
        "w",
        {"a": 1},
        cursor={0: 5},
        timeout=60,
        source="airflow",
        now=NOW,
        attempt=2,
        thread_id="t",
        graph="g",
        metadata={"user_id": "u"},
    )
    event = decode_event(prepared.message.value)
    assert event.deadline == prepared.pending.deadline == NOW + timedelta(seconds=60)
    assert event.event_id == prepared.pending.correlation_id
    assert (event.attempt, event.thread_id, event.payload.graph) == (2, "t", "g")
    assert event.metadata.model_extra == {"user_id": "u"}
    assert event.timestamp == NOW
    assert (prepared.pending.attempt, prepared.pending.thread_id) == (2, "t")
    assert (prepared.pending.reply_cursor, prepared.pending.reply_partition) == ({0: 5}, None)
    assert prepared.message.topic == settings.workflow_events_topic
    assert prepared.pending.workflow_run_id == str(event.event_id)
    address = return_address_in(prepared.message.headers)
    assert address is not None
    assert address.partition is None
    assert address.topic == prepared.pending.reply_topic == settings.workflow_results_topic


def test_a_reply_is_looked_for_under_the_id_as_results_carry_it_however_the_id_was_written() -> None:
    mine = uuid4()
    for given in (mine, str(mine).upper(), f"{{{mine}}}"):
        prepared = prepare_request(
            KafkaSettings(_env_file=None),
            "w",
            {},
            cursor=dict.fromkeys(range(6), 0),
            timeout=60,
            source="airflow",
            reply_partition="by_correlation_id",
            correlation_id=given,  # type: ignore[arg-type]
        )
        assert prepared.pending.correlation_id == mine
        assert prepared.pending.reply_partition == mine.int % 6
        assert prepared.key == correlation_key(mine) == prepared.message.key
        assert find_correlation_key(prepared.message.headers, None) == prepared.key


def test_a_request_keeps_the_id_and_the_run_that_it_is_given_and_is_the_first_attempt() -> None:
    mine, before = uuid4(), datetime.now(tz=UTC)
    prepared = prepare_request(
        KafkaSettings(_env_file=None),
        "w",
        {},
        cursor={0: 5},
        timeout=60,
        source="airflow",
        correlation_id=mine,
        workflow_run_id="run-1",
    )
    event = decode_event(prepared.message.value)
    assert event.event_id == prepared.pending.correlation_id == mine
    assert event.workflow_run_id == prepared.pending.workflow_run_id == "run-1"
    assert event.attempt == prepared.pending.attempt == 1
    assert before <= event.timestamp <= datetime.now(tz=UTC)


@pytest.mark.parametrize(
    "cursor,number,partition,read_from",
    [
        ({0: 5, 1: 6, 2: 7}, 7, 1, {1: 6}),
        ({0: 5, 1: 6, 2: 7}, 9, 0, {0: 5}),
        ({0: 5, 2: 7}, 3, 1, {1: 0}),
        ({}, 7, 0, {0: 0}),
    ],
    ids=["one of three", "the first", "one without an offset", "none known"],
)
def test_an_answer_by_partition_is_asked_for_and_awaited_in_one_alone(
    cursor: dict[int, int], number: int, partition: int, read_from: dict[int, int]
) -> None:
    prepared = prepare_request(
        KafkaSettings(_env_file=None),
        "w",
        {},
        cursor=cursor,
        timeout=60,
        source="airflow",
        correlation_id=UUID(int=number),
        reply_partition="by_correlation_id",
    )
    address = return_address_in(prepared.message.headers)
    assert address is not None
    assert address.partition == prepared.pending.reply_partition == partition
    assert prepared.pending.reply_cursor == read_from


@pytest.mark.parametrize(
    "arguments,said",
    [
        ({"timeout": 0}, "^The time-out of a request is a number of seconds above 0, not 0"),
        ({"timeout": -1}, "^The time-out of a request is a number of seconds above 0, not -1"),
        ({"timeout": math.nan}, "^The time-out of a request .* not nan"),
        ({"timeout": math.inf}, "^The time-out of a request .* not inf"),
        ({"timeout": 1e12}, "^The time-out of a request would end after the year 9999: 1e\\+12 s"),
        ({"accepted_timeout": 0}, "accepted_timeout is a number of seconds above 0, not 0"),
        ({"accepted_timeout": 1e12}, "accepted_timeout would end"),
        ({"heartbeat_timeout": math.inf}, "heartbeat_timeout is a number of seconds above 0, not inf"),
        ({"data": {"at": NOW}}, "data"),
        ({"workflow_id": ""}, "workflow_id"),
        ({"attempt": 0}, "attempt"),
    ],
)
def test_a_request_that_does_not_fit_the_event_is_refused(arguments: dict[str, object], said: str) -> None:
    given = {"workflow_id": "w", "data": {}, "timeout": 1, **arguments}
    with pytest.raises(InvalidEventError, match=said):
        prepare_request(KafkaSettings(_env_file=None), cursor={}, source="airflow", **given)  # type: ignore[arg-type]


CLOCKS = [
    pytest.param({}, (None, None, None), id="none"),
    pytest.param({"accepted_timeout": 2}, (2.0, NOW + timedelta(seconds=2), None), id="accepted"),
    pytest.param({"heartbeat_timeout": 3}, (None, None, 3.0), id="heartbeat"),
    pytest.param(
        {"accepted_timeout": 2, "heartbeat_timeout": 3}, (2.0, NOW + timedelta(seconds=2), 3.0), id="both of them"
    ),
]


@pytest.mark.parametrize("asked,clocks", CLOCKS)
def test_a_wait_has_the_clocks_that_were_asked_for_when_it_was_sent_or_later(
    asked: dict[str, Any], clocks: tuple[object, ...]
) -> None:
    sent = prepare_request(
        KafkaSettings(_env_file=None), "w", {}, cursor={}, timeout=60, source="airflow", now=NOW, **asked
    )
    for pending in (sent.pending, PENDING.with_clocks(now=NOW, **asked)):
        assert (pending.accepted_timeout, pending.accepted_by, pending.heartbeat_timeout) == clocks
        assert pending.clocked is any(clocks)


def test_a_clock_that_is_not_asked_for_anew_stays_and_begins_now_where_it_is() -> None:
    clocked = PENDING.with_clocks(accepted_timeout=2, heartbeat_timeout=3, now=NOW)
    later = clocked.with_clocks(heartbeat_timeout=4, now=NOW + timedelta(seconds=1))
    assert (later.accepted_by, later.heartbeat_timeout) == (NOW + timedelta(seconds=2), 4.0)
    assert clocked.with_clocks() is clocked
    before = datetime.now(tz=UTC)
    begun = PENDING.with_clocks(accepted_timeout=2).accepted_by
    assert begun is not None
    assert before <= begun - timedelta(seconds=2) <= datetime.now(tz=UTC)


def test_until_accepted_by_counts_down_as_remaining_does() -> None:
    clocked = PENDING.with_clocks(accepted_timeout=2, now=NOW)
    assert PENDING.until_accepted_by(NOW) is None
    assert clocked.until_accepted_by(NOW) == 2
    assert clocked.until_accepted_by(NOW + timedelta(minutes=1)) == -58
    begun = datetime.now(tz=UTC)
    left, since = clocked.until_accepted_by(begun), clocked.until_accepted_by()
    assert left is not None
    assert since is not None
    assert 0 <= left - since <= (datetime.now(tz=UTC) - begun).total_seconds()


def test_a_cancel_names_the_request_on_the_control_topic() -> None:
    settings = KafkaSettings(_env_file=None)
    pending = PENDING.model_copy(update={"attempt": 3, "thread_id": "t"})
    message = cancel_message(settings, pending, source="airflow", reason="marked as failed")
    event = decode_event(message.value)
    assert (event.attempt, event.thread_id, event.source) == (3, "t", "airflow")
    assert (event.workflow_id, event.workflow_run_id) == ("w", "r")
    assert message.topic == settings.workflow_control_topic
    assert event.event_type == "workflow.cancel"
    assert event.payload.data == {"correlation_id": str(PENDING.correlation_id), "reason": "marked as failed"}
    # And it is found by the request's id, while its own id is another
    named = str(PENDING.correlation_id).encode()
    assert message.key == dict(message.headers)["correlation-id"] == named
    headers = dict(message.headers)
    assert headers["ce_id"] == str(event.event_id).encode() != named
    assert (headers["ce_type"], headers["ce_source"]) == (b"workflow.cancel", b"/airflow")
    assert datetime.fromisoformat(headers["ce_time"].decode()) == event.timestamp

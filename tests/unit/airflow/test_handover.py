from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_integration.handover import hand_over_error, hand_over_reply, pending_of, take_over, told_unheard
from workflow_events import errors
from workflow_events.events import WorkflowResultEvent
from workflow_events.identifiers import new_event_id
from workflow_events.pending import PendingRequest
from workflow_events.progress.group_report import GroupReport
from workflow_events.replies.records import RecordPosition, Reply

PENDING = PendingRequest(
    correlation_id=new_event_id(),
    workflow_id="w",
    workflow_run_id="r",
    reply_topic="results",
    reply_cursor={0: 3, 2: 7},
    deadline=datetime(2026, 3, 1, tzinfo=UTC),
)
POSITION = RecordPosition("results", 2, 9)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def reply(result: dict[str, Any], size: int = 100) -> Reply:
    event = WorkflowResultEvent(
        correlation_id=PENDING.correlation_id, workflow_id="w", workflow_run_id="r", result=result
    )
    return Reply(event, POSITION, size)


def never(position: RecordPosition, pending: PendingRequest) -> WorkflowResultEvent:
    raise AssertionError("nothing was to be read")


def through_airflow(handover: Any) -> Any:
    """As Airflow carries it: its serializer, JSON text in the database, its serializer back."""
    from airflow.sdk.serde import deserialize, serialize

    return deserialize(json.loads(json.dumps(serialize(handover))))


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_a_small_result_arrives_as_it_was_through_airflows_own_serializer(result: dict[str, Any]) -> None:
    sent = reply(result)

    taken = take_over(through_airflow(hand_over_reply(PENDING, sent, 100)), never)

    assert taken == sent.event


@pytest.mark.parametrize("key", ["__classname__", "__data__", "__version__", "__type", "__var", "__id__"])
def test_keys_that_airflows_serializer_takes_for_its_own_arrive_as_data(key: str) -> None:
    sent = reply({"outer": {key: "builtins.dict", "rest": 1}})

    assert take_over(through_airflow(hand_over_reply(PENDING, sent, 1000)), never) == sent.event


def test_a_result_above_the_limit_goes_as_its_place_in_the_log_and_is_read_from_there() -> None:
    sent = reply({"text": "x" * 50_000}, size=50_100)
    asked: list[tuple[RecordPosition, PendingRequest]] = []

    def read(position: RecordPosition, pending: PendingRequest) -> WorkflowResultEvent:
        asked.append((position, pending))
        return sent.event

    handover = through_airflow(hand_over_reply(PENDING, sent, 50_099))

    assert len(json.dumps(handover)) < 1000
    assert take_over(handover, read) == sent.event
    assert asked == [(POSITION, PENDING)]


@pytest.mark.parametrize("store", [None, "the database is away"])
def test_a_timeout_is_the_same_error_on_the_other_side(store: str | None) -> None:
    error = errors.ResultTimeoutError(PENDING, read_to={0: 5, 2: 11}, cause="the broker is away", store=store)
    handover = through_airflow(hand_over_error(PENDING, error))

    with pytest.raises(errors.ResultTimeoutError) as caught:
        take_over(handover, never)

    assert str(caught.value) == str(error)
    assert (caught.value.pending, caught.value.read_to) == (PENDING, {0: 5, 2: 11})
    assert (caught.value.cause, caught.value.store) == ("the broker is away", store)
    # And nothing is said of a store where there was none to be asked
    assert ("store" in handover["timed_out"]) is (store is not None)


def test_a_result_in_the_store_needs_somebody_to_read_it_there() -> None:
    stored = reply({"text": "long"}, size=50_100)
    handover = through_airflow(hand_over_reply(PENDING, Reply(stored.event, None, stored.size), 100))

    assert take_over(handover, never, lambda pending: stored.event) == stored.event
    with pytest.raises(errors.ResultUnavailableError, match=f"{PENDING.correlation_id} is in the result store"):
        take_over(handover, never)


def test_a_worker_of_which_nothing_else_is_told_was_silent_for_no_time() -> None:
    error = told_unheard(PENDING, {"type": "WorkerSilentError"})

    assert isinstance(error, errors.WorkerSilentError)
    assert (error.worker, error.last_event, error.silent_for, error.unheard) == (None, None, 0.0, None)


@pytest.mark.parametrize(
    "error",
    [
        errors.AccessDeniedError("no"),
        errors.BrokerUnavailableError("away"),
        errors.ConfigurationError("which connection"),
        errors.TopicNotFoundError("no such topic"),
        errors.WorkflowEventsError("something else"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_another_error_of_ours_keeps_its_class_and_message(error: errors.WorkflowEventsError) -> None:
    with pytest.raises(errors.WorkflowEventsError) as caught:
        take_over(through_airflow(hand_over_error(PENDING, error)), never)

    assert type(caught.value) is type(error)
    assert str(caught.value) == str(error)


@pytest.mark.parametrize("name", ["WorkflowFailedError", "ResultTimeoutError", "annotations", "Nobody", ""])
def test_an_error_of_a_name_that_takes_no_message_becomes_the_root(name: str) -> None:
    with pytest.raises(errors.WorkflowEventsError, match="why") as caught:
        take_over({"pending": PENDING.to_json(), "failed": {"type": name, "message": "why"}}, never)

    assert type(caught.value) is errors.WorkflowEventsError


@pytest.mark.parametrize("event", [{}, {"status": "done"}, None], ids=["empty", "strange", "none"])
def test_an_event_that_is_not_ours_says_so(event: Any) -> None:
    with pytest.raises(errors.InvalidEventError, match="WorkflowResultTrigger"):
        pending_of(event)


def test_what_is_no_event_of_ours_is_said_to_be_none() -> None:
    with pytest.raises(errors.InvalidEventError, match="not one of WorkflowResultTrigger's: dict"):
        pending_of({})
    with pytest.raises(errors.WorkflowEventsError, match=r"^the trigger's event says nothing$") as caught:
        take_over({"pending": PENDING.to_json()}, never)
    assert type(caught.value) is errors.WorkflowEventsError


@pytest.mark.parametrize(
    "error",
    [
        errors.NotAcceptedError(PENDING),
        errors.NotAcceptedError(PENDING, group=GroupReport("workers", "events", state="Empty", lag=7)),
        errors.NotAcceptedError(PENDING, unheard="the topic is missing"),
        errors.WorkerSilentError(
            PENDING, worker="host-1", last_event="workflow.heartbeat in node 'plan'", silent_for=8.2
        ),
        errors.WorkerSilentError(PENDING, unheard="the topic is missing"),
    ],
    ids=["not accepted", "with the group's state", "not heard of", "silent", "not heard"],
)
def test_a_clock_that_ran_out_is_the_same_error_in_the_task(error: errors.ResultTimeoutError) -> None:
    with pytest.raises(type(error)) as caught:
        take_over(through_airflow(hand_over_error(PENDING, error)), never)

    assert str(caught.value) == str(error)
    assert caught.value.pending == PENDING

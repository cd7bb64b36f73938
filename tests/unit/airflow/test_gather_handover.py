from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from airflow_integration.batch import pack
from airflow_integration.gather_handover import (
    Gathered,
    hand_over_gather_error,
    hand_over_replies,
    take_over_gathered,
)
from airflow_integration.handover import tell_timeout, tell_unheard
from workflow_events import errors
from workflow_events.events import WorkflowResultEvent
from workflow_events.identifiers import new_event_id
from workflow_events.pending import PendingRequest
from workflow_events.replies.records import RecordPosition, Reply

REQUESTS = [
    PendingRequest(
        correlation_id=new_event_id(),
        workflow_id="w",
        workflow_run_id="r",
        reply_topic="results",
        reply_cursor={0: 3, 2: 7},
        deadline=datetime(2026, 3, 1, tzinfo=UTC),
    )
    for _ in range(4)
]
PACKED = pack(REQUESTS)


def reply(index: int, size: int, **result: Any) -> Reply:
    event = WorkflowResultEvent(
        correlation_id=REQUESTS[index].correlation_id, workflow_id="w", workflow_run_id="r", result=result
    )
    return Reply(event, RecordPosition("results", index % 2, 10 + index), size)


def events_of(replies: list[Reply | None]) -> list[WorkflowResultEvent | None]:
    return [None if one is None else one.event for one in replies]


class Log:
    """Results by their places; says what was read, and in how many passes."""

    def __init__(self, *replies: Reply) -> None:
        self.held = {reply.position: reply.event for reply in replies}
        self.passes: list[dict[RecordPosition, UUID]] = []

    def read(self, wanted: Mapping[RecordPosition, UUID]) -> dict[RecordPosition, WorkflowResultEvent]:
        self.passes.append(dict(wanted))
        return {position: self.held[position] for position in wanted}


def through_airflow(handover: Any) -> Any:
    """As Airflow carries it: its serializer, JSON text in the database, its serializer back."""
    from airflow.sdk.serde import deserialize, serialize

    return deserialize(json.loads(json.dumps(serialize(handover))))


def test_small_results_arrive_in_order_as_they_were_and_those_that_did_not_come_are_none() -> None:
    log = Log()
    sent = [reply(0, 10, n=0), None, reply(2, 10, __type="x", nested={"__classname__": "builtins.dict"}), None]

    taken = take_over_gathered(through_airflow(hand_over_replies(PACKED, sent, 100)), log.read)

    assert taken == Gathered(REQUESTS, events_of(sent))
    assert log.passes == []


def test_results_go_inline_while_their_sum_is_within_the_limit_and_the_rest_are_read_at_once() -> None:
    sent = [reply(0, 60), reply(1, 60), reply(2, 5_000), reply(3, 40)]
    log = Log(*sent)

    handover = through_airflow(hand_over_replies(PACKED, sent, 100))
    taken = take_over_gathered(handover, log.read)

    assert [type(answer) for answer in handover["answers"]] == [str, list, list, str]
    assert taken.results == [one.event for one in sent]
    assert log.passes == [{sent[n].position: REQUESTS[n].correlation_id for n in (1, 2)}]


def test_a_deadline_that_came_first_is_the_same_error_on_the_other_side() -> None:
    sent = [reply(0, 10), None, reply(2, 5_000), None]
    results = events_of(sent)
    missing = [REQUESTS[1], REQUESTS[3]]
    error = errors.GatherTimeoutError(missing, results, read_to={0: 5, 2: 11}, cause="the broker is away")

    handover = through_airflow(hand_over_replies(PACKED, sent, 100, tell_timeout(error.read_to, error.cause)))
    taken = take_over_gathered(handover, Log(*filter(None, sent)).read)

    assert taken.results == results
    assert taken.timed_out is not None
    assert str(taken.timed_out) == str(error)
    assert (taken.timed_out.missing, taken.timed_out.results) == (missing, results)


@pytest.mark.parametrize(
    "error",
    [errors.AccessDeniedError("no"), errors.TopicNotFoundError("no such topic"), errors.WorkflowEventsError("else")],
    ids=lambda error: type(error).__name__,
)
def test_another_error_of_ours_keeps_its_class_and_message(error: errors.WorkflowEventsError) -> None:
    with pytest.raises(errors.WorkflowEventsError) as caught:
        take_over_gathered(through_airflow(hand_over_gather_error(PACKED, error)), Log().read)

    assert (type(caught.value), str(caught.value)) == (type(error), str(error))


@pytest.mark.parametrize("event", [{}, {"pending": {}}, None], ids=["empty", "of one request", "none"])
def test_an_event_that_is_not_ours_says_so(event: Any) -> None:
    with pytest.raises(errors.InvalidEventError, match="WorkflowGatherTrigger"):
        take_over_gathered(event, Log().read)


def test_an_event_that_says_nothing_is_an_error() -> None:
    with pytest.raises(errors.WorkflowEventsError, match="says nothing"):
        take_over_gathered({"requests": PACKED}, Log().read)


def test_the_clock_that_ended_the_wait_is_the_errors_cause() -> None:
    unheard = errors.NotAcceptedError(REQUESTS[1], unheard="the topic is missing")
    sent = [reply(0, 10, n=0), None, None, reply(3, 10, n=3)]

    taken = take_over_gathered(
        through_airflow(hand_over_replies(PACKED, sent, 100, tell_timeout({0: 5}, None), tell_unheard(unheard))),
        Log().read,
    )

    assert taken.timed_out is not None
    assert taken.timed_out.indexes == [1, 2]
    cause = taken.timed_out.__cause__
    assert isinstance(cause, errors.NotAcceptedError)
    assert str(cause) == str(unheard)

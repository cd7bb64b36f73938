"""A request that is filled into a form is the one that the model would have written."""

from __future__ import annotations

import copy
import json
import math
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from workflow_events import (
    EventType,
    InvalidEventError,
    KafkaSettings,
    PendingRequest,
    WorkflowEvent,
    WorkflowEventMetadata,
    WorkflowEventPayload,
    wire,
)
from workflow_events.request_forms import request_form
from workflow_events.requests import PreparedRequest, prepare_request

SETTINGS = KafkaSettings(_env_file=None)
NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
TIMES = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - the zone is drawn beside it
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-5, minutes=-30))]),
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "workflow_run_id": NAMES,
        "correlation_id": st.uuids(),
        "attempt": st.integers(1, 1000),
        "thread_id": NAMES,
        "graph": NAMES,
        "metadata": st.dictionaries(TEXT.filter(lambda name: name not in {"environment", "version"}), JSON, max_size=3)
        | st.fixed_dictionaries({"environment": st.sampled_from(["dev", "staging", "prod"]), "version": TEXT}),
        "event_type": st.sampled_from([EventType.WORKFLOW_TRIGGERED, EventType.WORKFLOW_RESUME]),
        "accepted_timeout": st.floats(0.1, 100) | st.integers(1, 100),
        "heartbeat_timeout": st.floats(0.1, 100) | st.integers(1, 100),
    },
)


class Unhashable(str):
    """What fits the event, and no table."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]


def prepare(workflow_id: str = "w", data: Any = None, **options: Any) -> PreparedRequest:
    arguments: dict[str, Any] = {"cursor": {0: 5, 1: 7}, "timeout": 60, "source": "airflow", "now": NOW, **options}
    return prepare_request(SETTINGS, workflow_id, {} if data is None else data, **arguments)


@given(workflow_id=NAMES, source=NAMES, data=st.dictionaries(TEXT, JSON, max_size=3), now=TIMES, options=OPTIONS)
def test_a_request_is_to_the_byte_what_the_model_writes(
    workflow_id: str, source: str, data: dict[str, Any], now: datetime, options: dict[str, Any]
) -> None:
    # When a request is prepared
    prepared = prepare(workflow_id, data, source=source, now=now, **options)

    # Then it is the message that the whole event makes
    event = WorkflowEvent(
        event_id=prepared.pending.correlation_id,
        event_type=options.get("event_type", EventType.WORKFLOW_TRIGGERED),
        timestamp=now,
        source=source,
        workflow_id=workflow_id,
        workflow_run_id=options.get("workflow_run_id") or str(prepared.pending.correlation_id),
        payload=WorkflowEventPayload(data=data, graph=options.get("graph")),
        metadata=WorkflowEventMetadata.model_validate(options.get("metadata") or {}),
        deadline=now + timedelta(seconds=60),
        attempt=options.get("attempt", 1),
        thread_id=options.get("thread_id"),
    )
    address = wire.ReturnAddress(SETTINGS.workflow_results_topic)
    assert prepared.message == wire.request_message(event, topic=SETTINGS.workflow_events_topic, reply_to=address)
    # And the pending request is the one that a validated one would be, whatever becomes of it
    pending = prepared.pending
    assert pending == PendingRequest.model_validate(pending.model_dump())
    assert PendingRequest.from_json(json.dumps(pending.to_json())) == pending
    assert pending == pickle.loads(pickle.dumps(pending)) == copy.deepcopy(pending) == pending.model_copy()
    assert list(pending.model_dump()) == list(PendingRequest.model_fields)


@pytest.mark.parametrize(
    "arguments,said",
    [
        ({"data": {"deep": [{"x": math.nan}]}}, "payload.data.deep"),
        ({"data": {"x": math.inf}}, "payload.data.x"),
        ({"data": {1: 2}}, "payload.data.1"),
        ({"data": [1]}, "payload.data"),
        ({"correlation_id": "nobody"}, "event_id"),
        ({"workflow_id": "x" * 1025}, "workflow_id"),
        ({"workflow_id": ["w"]}, "workflow_id"),
        ({"workflow_run_id": "x" * 1025}, "workflow_run_id"),
        ({"thread_id": ""}, "thread_id"),
        ({"graph": ""}, "payload.graph"),
        ({"graph": {}}, "payload.graph"),
        ({"metadata": {"environment": "moon"}}, "metadata.environment"),
        ({"source": ""}, "source"),
        ({"attempt": "x"}, "attempt"),
        ({"event_type": ["workflow.resume"]}, "event_type"),
        ({"data": {"a": "half \ud83d"}}, "payload.data has no JSON: .*surrogates"),
        ({"data": {"half \ud83d": 1}}, "payload.data has no JSON: .*surrogates"),
        ({"data": {"a": {"half \ud83d": 1}}}, "payload.data has no JSON: .*surrogates"),
        ({"metadata": {"a": "half \ud83d"}}, "metadata has no JSON: .*surrogates"),
        ({"metadata": {"a": object()}}, "metadata has no JSON: .*object"),
        ({"source": Unhashable("airflow")}, "unhashable"),
    ],
)
def test_what_does_not_fit_is_told_by_the_events_own_name_for_it(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidEventError, match=f"cannot be made: {said}"):
        prepare(**arguments)


def test_requests_of_one_kind_share_a_form_and_those_of_another_do_not() -> None:
    assert request_form(None, "airflow", "w", None, 1, "replies") is request_form(
        None, "airflow", "w", None, 1, "replies"
    )
    for other in (
        ("langgraph", "w", None, 1),
        ("airflow", "v", None, 1),
        ("airflow", "w", "g", 1),
        ("airflow", "w", None, 2),
    ):
        one, two = (
            request_form(None, source, workflow_id, graph, attempt, "replies")
            for source, workflow_id, graph, attempt in (("airflow", "w", None, 1), other)
        )
        assert one != two
    # What only looks alike is judged by itself
    assert prepare(attempt=1.0).message.value.endswith(b'"attempt":1}')
    assert prepare(attempt=True).pending.attempt == 1


def test_a_pending_request_that_was_not_validated_again_is_as_frozen_as_any() -> None:
    pending = prepare().pending
    with pytest.raises(ValidationError, match="frozen"):
        pending.attempt = 2  # type: ignore[misc]
    changed = pending.with_clocks(accepted_timeout=5, now=NOW)
    assert (changed.accepted_timeout, pending.accepted_timeout) == (5.0, None)
    assert pending.model_fields_set == changed.model_fields_set == set(PendingRequest.model_fields)


def test_the_cursor_that_is_passed_may_be_moved_on_without_moving_the_requests() -> None:
    cursor = {0: 5}
    pending = prepare(cursor=cursor, correlation_id=uuid4()).pending
    cursor[0] = 6
    assert pending.reply_cursor == {0: 5}

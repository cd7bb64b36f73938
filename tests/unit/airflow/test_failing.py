from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_integration import WorkflowHumanOperator, WorkflowOperator, WorkflowRequestFailError, WorkflowResultSensor
from airflow_integration.batch import pack
from airflow_integration.failing import told_to_airflow
from airflow_integration.gather_handover import hand_over_gather_error
from airflow_integration.handover import hand_over_error
from workflow_events import errors
from workflow_events.identifiers import new_event_id
from workflow_events.pending import PendingRequest

PENDING = PendingRequest(
    correlation_id=new_event_id(),
    workflow_id="w",
    workflow_run_id="r",
    reply_topic="results",
    reply_cursor={0: 0},
    deadline=datetime(2030, 1, 1, tzinfo=UTC),
)
PASSING = [
    errors.BrokerUnavailableError,
    errors.DeliveryError,
    errors.InvalidEventError,
    errors.ObjectStoreError,
    errors.ResultUnavailableError,
    errors.WorkflowEventsError,
]
LASTING = [
    errors.AccessDeniedError,
    errors.ClaimCheckError,
    errors.ConfigurationError,
    errors.MessageTooLargeError,
    errors.TopicNotFoundError,
    errors.TransportError,
]


@pytest.mark.parametrize("kind", PASSING)
def test_what_may_pass_is_left_to_airflows_retries(kind: type[errors.WorkflowEventsError]) -> None:
    with pytest.raises(kind) as caught, told_to_airflow():
        raise kind("it broke.")

    assert not isinstance(caught.value, AirflowException)


@pytest.mark.parametrize("kind", LASTING)
def test_what_will_not_pass_fails_the_task_and_says_what_it_was(kind: type[errors.WorkflowEventsError]) -> None:
    with pytest.raises(AirflowFailException, match=rf"{kind.__name__}: it broke\.") as caught, told_to_airflow():
        raise kind("it broke.")

    assert isinstance(caught.value, WorkflowRequestFailError)
    assert caught.value.error_type == kind.__name__
    assert isinstance(caught.value.__cause__, kind)


@pytest.mark.parametrize("kind", [*PASSING, *LASTING])
def test_what_the_triggerer_met_means_the_same_to_each_task(kind: type[errors.WorkflowEventsError]) -> None:
    # Given an error that comes as a trigger's event
    one, many = hand_over_error(PENDING, kind("it broke.")), hand_over_gather_error(pack([PENDING]), kind("it broke."))
    operator = WorkflowOperator(task_id="ask", workflow_id="w")
    human = WorkflowHumanOperator(task_id="decide", interrupted={})
    sensor = WorkflowResultSensor(task_id="wait", pending=PENDING.to_json())
    # When a task takes it over, then it fails for good or may be retried
    expected = WorkflowRequestFailError if kind in LASTING else kind
    for take_over in (
        lambda: operator.execute_complete({}, one),
        lambda: operator.execute_gathered({}, many),
        lambda: human.execute_resumed({}, one, {}),
        lambda: sensor.execute_complete({}, one),
    ):
        with pytest.raises(expected, match=r"it broke\."):
            take_over()

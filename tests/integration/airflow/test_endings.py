"""What a retry takes up, and what a killed task stops, on real brokers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from kafka import TopicPartition

from airflow_integration import WorkflowOperator, WorkflowResultSensor, WorkflowTaskError
from airflow_integration.identity import identity_of
from tests.integration.airflow.running import execute, execute_deferred, revive
from tests.system.responder import Responder
from tests.unit.airflow.test_retries import Store
from workflow_events.client import WorkflowClient
from workflow_events.errors import GatherTimeoutError, NotAcceptedError, ResultTimeoutError
from workflow_events.events import EventType, WorkflowEvent
from workflow_events.settings import KafkaSettings
from workflow_events.testing.waiting import wait_until
from workflow_events.transport import blocking
from workflow_events.wire import decode_event

MakeContext = Callable[..., dict[str, Any]]


def operator(conn_id: str, data: Any, **options: Any) -> WorkflowOperator:
    return WorkflowOperator(
        task_id="ask",
        **{"workflow_id": "w", "data": data, "timeout": 60, "workflow_events_conn_id": conn_id, **options},
    )


def next_try(context: dict[str, Any]) -> dict[str, Any]:
    context["ti"].try_number += 1
    return context


@pytest.fixture
def cancels(kafka_settings: KafkaSettings) -> Callable[[int], list[WorkflowEvent]]:
    """What stands on the control topic, once it is so much."""

    def read(count: int) -> list[WorkflowEvent]:
        topic = kafka_settings.workflow_control_topic
        consumer = blocking.new_consumer(kafka_settings)
        try:
            consumer.assign(
                [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
            )
            consumer.seek_to_beginning()
            found: list[WorkflowEvent] = []

            def enough() -> bool:
                for records in consumer.poll(timeout_ms=200).values():
                    found.extend(decode_event(record.value) for record in records)
                return len(found) >= count

            wait_until(enough, 30, what=lambda: f"{count} cancels: {found}")
            return found
        finally:
            consumer.close()

    return read


def test_a_retry_returns_a_success_that_has_come_since_and_asks_nobody(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    # Given a try that died waiting, and a result that came after
    given = {**context(max_tries=1), "task_state_store": Store()}
    task = operator(conn_id, {"n": 1}, deferrable=True, inline_wait=0)
    with pytest.raises(TaskDeferred):
        execute(task, given)
    wait_until(lambda: responder.answered == 1, 30, what="the answer")
    # When it is tried again
    value = execute(operator(conn_id, {"n": 1}), next_try(given))
    # Then the result is there, and one request was made
    assert value == {"echo": {"n": 1}}
    assert len(responder.requests) == 1


def test_a_retry_after_a_failure_asks_again_and_does_not_take_the_old_failure_for_its_own(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    given = {**context(max_tries=1), "task_state_store": Store()}
    with pytest.raises(WorkflowTaskError):
        execute(operator(conn_id, {"status": "error", "error": "broke"}), given)

    assert execute(operator(conn_id, {"well": "now"}), next_try(given)) == {"echo": {"well": "now"}}

    assert [event.attempt for event in responder.requests] == [1, 2]
    assert len({event.event_id for event in responder.requests}) == 1


def test_a_retry_takes_the_success_of_the_first_attempts_run_that_was_still_going(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    # Given a run that goes on behind a task that has given up
    given = {**context(max_tries=1), "task_state_store": Store()}
    with pytest.raises(ResultTimeoutError):
        execute(operator(conn_id, {"delay": 8, "n": 1}, timeout=4), given)
    # When the retry's own request stays unanswered
    value = execute(operator(conn_id, {"ignore": True}), next_try(given))
    # Then the first one's success is its own
    assert value == {"echo": {"delay": 8, "n": 1}}


def test_a_lists_retry_asks_again_for_what_has_not_succeeded_alone(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    given = {**context(max_tries=1), "task_state_store": Store()}
    data: list[dict[str, Any]] = [{"n": 0}, {"n": 1, "status": "error", "error": "broke"}, {"n": 2}]
    with pytest.raises(WorkflowTaskError):
        execute(operator(conn_id, data), given)

    value = execute(operator(conn_id, [{"n": 0}, {"n": 1}, {"n": 2}]), next_try(given))

    assert value == [{"echo": {"n": n}} for n in range(3)]
    asked = [(event.payload.data["n"], event.attempt) for event in responder.requests]
    assert sorted(asked) == [(0, 1), (1, 1), (1, 2), (2, 1)]


def test_a_killed_task_cancels_its_attempt(
    responder: Responder, conn_id: str, context: MakeContext, cancels: Callable[[int], list[WorkflowEvent]]
) -> None:
    # Given a task that waits in its slot
    task, given = operator(conn_id, {"delay": 5}), context(try_number=3)
    waiting = threading.Thread(target=execute, args=(task, given))
    waiting.start()
    wait_until(lambda: task._asked, 30, what="the request")
    # When Airflow kills it
    task.on_kill()
    # Then a cancel is on the control topic, under the request's id, for this attempt
    (event,) = cancels(1)
    waiting.join(30)
    correlation_id = str(identity_of(given).correlation_id)
    assert (event.event_type, event.attempt) == (EventType.WORKFLOW_CANCEL, 3)
    assert event.payload.data == {"correlation_id": correlation_id, "reason": "the Airflow task was killed"}


@pytest.mark.parametrize("data", [{"ignore": True}, [{"ignore": True}, {"ignore": True}]], ids=["one", "many"])
def test_a_deferred_task_that_is_killed_cancels_through_its_trigger(
    data: Any,
    responder: Responder,
    conn_id: str,
    context: MakeContext,
    cancels: Callable[[int], list[WorkflowEvent]],
) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        execute(operator(conn_id, data, deferrable=True, inline_wait=0), context())
    trigger = revive(deferred.value.trigger)

    asyncio.run(trigger.on_kill())

    wait_until(lambda: len(responder.requests) == (len(data) if isinstance(data, list) else 1), 30)
    asked = {str(event.event_id) for event in responder.requests}
    assert {event.payload.data["correlation_id"] for event in cancels(len(asked))} == asked


def test_a_sensor_that_is_killed_leaves_other_peoples_runs_alone(
    responder: Responder, conn_id: str, context: MakeContext, kafka_settings: KafkaSettings
) -> None:
    with WorkflowClient(kafka_settings) as client:
        pending = client.submit("w", {"ignore": True}).to_json()
    sensor = WorkflowResultSensor(
        task_id="sense", pending=pending, deferrable=True, workflow_events_conn_id=conn_id, timeout=60
    )
    with pytest.raises(TaskDeferred) as deferred:
        execute(sensor, context())

    assert not revive(deferred.value.trigger).killed()


@pytest.mark.parametrize("cancelled", [True, False])
@pytest.mark.parametrize("deferrable", [True, False])
def test_a_deadline_stops_the_run_if_asked_to(
    cancelled: bool,  # noqa: FBT001 - a parameter of the test
    deferrable: bool,  # noqa: FBT001
    responder: Responder,
    conn_id: str,
    context: MakeContext,
    cancels: Callable[[int], list[WorkflowEvent]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "0")
    monkeypatch.setenv("AIRFLOW__WORKFLOW_EVENTS__SETTLE_MARGIN", "0")
    task = operator(
        conn_id,
        {"ignore": True},
        timeout=3,
        cancel_on_timeout=cancelled,
        deferrable=deferrable,
        inline_wait=0,
        show_progress=False,
    )

    with pytest.raises(ResultTimeoutError):
        (execute_deferred if deferrable else execute)(task, context())

    assert len(cancels(int(cancelled))) == int(cancelled)


@pytest.mark.parametrize("cancel_rest", [True, False])
def test_those_that_are_no_longer_needed_are_cancelled(
    cancel_rest: bool,  # noqa: FBT001 - a parameter of the test
    responder: Responder,
    conn_id: str,
    context: MakeContext,
    cancels: Callable[[int], list[WorkflowEvent]],
) -> None:
    data = [{"ignore": True}, {"n": 1}, {"ignore": True}]
    given = context()

    value = execute(operator(conn_id, data, wait_for="first", cancel_rest=cancel_rest), given)

    assert value == [None, {"echo": {"n": 1}}, None]
    stopped = {event.payload.data["correlation_id"] for event in cancels(2 if cancel_rest else 0)}
    ids = [str(identity_of(given).correlation_id_of(index)) for index in range(3)]
    assert stopped == ({ids[0], ids[2]} if cancel_rest else set())


def test_nobody_takes_the_request_and_the_task_says_so_before_its_deadline(conn_id: str, context: MakeContext) -> None:
    task = operator(conn_id, {}, accepted_timeout=1.5)

    with pytest.raises(ResultTimeoutError, match="No worker took request"):
        execute(task, context())


def test_nobody_takes_a_lists_requests_and_the_task_says_so_before_their_deadline(
    conn_id: str, context: MakeContext
) -> None:
    # Given nobody who answers
    ends = []
    for run, deferrable in ((execute, False), (execute_deferred, True)):
        task = operator(conn_id, [{"n": 0}, {"n": 1}], timeout=3600, accepted_timeout=1.5, deferrable=deferrable)
        # When the task waits, here or in the triggerer
        with pytest.raises(GatherTimeoutError) as caught:
            run(task, context())
        # Then it ends when the clocks have run out, and says that it was they
        assert isinstance(caught.value.__cause__, NotAcceptedError)
        ends.append(caught.value.indexes)
    assert ends == [[0, 1], [0, 1]]

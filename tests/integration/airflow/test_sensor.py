from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import (
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_integration import WorkflowResultSensor, WorkflowTaskError
from tests.contract.test_clocks import said
from tests.integration.airflow.running import execute, execute_deferred
from tests.system.responder import Responder
from workflow_events.async_client import AsyncWorkflowClient
from workflow_events.client import WorkflowClient
from workflow_events.errors import InvalidEventError, NotAcceptedError, WorkerSilentError
from workflow_events.events import EventType
from workflow_events.pending import PendingRequest
from workflow_events.settings import KafkaSettings
from workflow_events.testing.waiting import wait_until
from workflow_events.transport import aio

MakeContext = Callable[..., dict[str, Any]]


@pytest.fixture
def client(kafka_settings: KafkaSettings) -> Iterator[WorkflowClient]:
    with WorkflowClient(kafka_settings) as client:
        yield client


def sensor(conn_id: str, **options: Any) -> WorkflowResultSensor:
    return WorkflowResultSensor(task_id="wait", workflow_events_conn_id=conn_id, **options)


async def taken_by_a_worker(settings: KafkaSettings, accepted_timeout: float | None = None) -> PendingRequest:
    """A request of which a worker has said that it has it, and no more."""
    async with AsyncWorkflowClient(settings) as client:
        pending = await client.submit("w", {}, timeout=3600, accepted_timeout=accepted_timeout)
    producer = await aio.start_producer(settings)
    try:
        await aio.send(producer, said(settings, pending.correlation_id, EventType.WORKFLOW_ACCEPTED), 10)
    finally:
        await producer.stop()
    return pending


@pytest.mark.parametrize("as_text", [False, True], ids=["dict", "JSON text"])
def test_it_waits_in_its_slot_without_sleeping_between_looks(
    as_text: bool,  # noqa: FBT001
    client: WorkflowClient,
    responder: Responder,
    conn_id: str,
    context: MakeContext,
) -> None:
    pending = client.submit("w", {"delay": 1}).to_json()
    begun = time.monotonic()

    value = execute(sensor(conn_id, pending=json.dumps(pending) if as_text else pending, poke_interval=60), context())

    assert value == {"echo": {"delay": 1}}
    assert time.monotonic() - begun < 20


def test_the_id_alone_will_do(client: WorkflowClient, responder: Responder, conn_id: str, context: MakeContext) -> None:
    pending = client.submit("w", {"n": 1})
    client.wait(pending)

    assert execute(sensor(conn_id, correlation_id=str(pending.correlation_id)), context()) == {"echo": {"n": 1}}


def test_in_reschedule_mode_it_looks_and_frees_the_slot(
    client: WorkflowClient, responder: Responder, conn_id: str, context: MakeContext
) -> None:
    with responder.paused():
        pending = client.submit("w", {})
        task = sensor(conn_id, pending=pending.to_json(), mode="reschedule", poke_interval=1)
        with pytest.raises(AirflowRescheduleException) as caught:
            execute(task, context())
    client.wait(pending)

    # Not before Airflow has taken note of the exit, whatever the poke interval.
    assert 8 < (caught.value.reschedule_date - datetime.now(tz=UTC)).total_seconds() <= 10

    assert execute(task, context()) == {"echo": {}}


def test_deferred_it_ends_as_it_does_in_its_slot(
    client: WorkflowClient, responder: Responder, conn_id: str, context: MakeContext
) -> None:
    good, bad = client.submit("w", {"size": 100_000}), client.submit("w", {"status": "error", "error": "broke"})

    here = execute(sensor(conn_id, pending=good.to_json(), deferrable=False), context())
    deferred = execute_deferred(sensor(conn_id, pending=good.to_json(), deferrable=True), context())

    assert here == deferred
    for run, deferrable in ((execute, False), (execute_deferred, True)):
        with pytest.raises(WorkflowTaskError, match=r"tests\.RemoteError: broke"):
            run(sensor(conn_id, pending=bad.to_json(), deferrable=deferrable), context())


@pytest.mark.parametrize("deferrable", [False, True])
def test_its_time_out_is_airflows_for_sensors_and_names_the_request(
    deferrable: bool,  # noqa: FBT001
    client: WorkflowClient,
    responder: Responder,
    conn_id: str,
    context: MakeContext,
) -> None:
    pending = client.submit("w", {"ignore": True}, timeout=4)
    run = execute_deferred if deferrable else execute

    with pytest.raises(AirflowSensorTimeout, match=str(pending.correlation_id)):
        run(sensor(conn_id, pending=pending.to_json(), deferrable=deferrable), context())


@pytest.mark.parametrize("deferrable", [False, True])
def test_it_says_that_nobody_has_taken_the_request(
    deferrable: bool,  # noqa: FBT001
    client: WorkflowClient,
    conn_id: str,
    context: MakeContext,
) -> None:
    # Given a request without clocks, and nobody who answers
    pending = client.submit("w", {}, timeout=3600)
    run = execute_deferred if deferrable else execute
    # When a sensor with a clock waits for it, then that clock ends the wait
    with pytest.raises(NotAcceptedError, match=str(pending.correlation_id)):
        run(sensor(conn_id, pending=pending.to_json(), deferrable=deferrable, accepted_timeout=1.5), context())


def test_in_reschedule_mode_a_look_notices_that_nobody_has_taken_the_request(
    client: WorkflowClient, conn_id: str, context: MakeContext
) -> None:
    # Given a request whose clock has run out, and nobody who answers
    pending = client.submit("w", {}, timeout=3600, accepted_timeout=0.1)
    wait_until(lambda: (pending.until_accepted_by() or 0) < 0, 10)
    # When a sensor looks, then it says so
    with pytest.raises(NotAcceptedError, match=str(pending.correlation_id)) as caught:
        execute(sensor(conn_id, pending=pending.to_json(), mode="reschedule"), context())
    assert caught.value.pending.deadline == pending.deadline


def test_in_reschedule_mode_a_look_before_the_clock_has_run_out_frees_the_slot(
    client: WorkflowClient, conn_id: str, context: MakeContext
) -> None:
    pending = client.submit("w", {}, timeout=3600)

    with pytest.raises(AirflowRescheduleException):
        execute(sensor(conn_id, pending=pending.to_json(), mode="reschedule", accepted_timeout=60), context())


async def test_in_reschedule_mode_a_request_that_a_worker_has_taken_is_waited_for(
    kafka_settings: KafkaSettings, conn_id: str, context: MakeContext
) -> None:
    # Given a request whose clock has run out, and which a worker took
    pending = await taken_by_a_worker(kafka_settings, accepted_timeout=0.1)
    task = sensor(conn_id, pending=pending.to_json(), mode="reschedule")
    # When a sensor looks, then it comes again later
    with pytest.raises(AirflowRescheduleException):
        await asyncio.to_thread(execute, task, context())


def test_a_clock_that_who_looks_now_and_then_cannot_keep_is_refused() -> None:
    with pytest.raises(ValueError, match="deferrable=True"):
        sensor("c", pending={}, mode="reschedule", heartbeat_timeout=5)

    assert sensor("c", pending={}, mode="reschedule", deferrable=True, heartbeat_timeout=5).heartbeat_timeout == 5
    assert sensor("c", pending={}, mode="poke", heartbeat_timeout=5).heartbeat_timeout == 5


@pytest.mark.parametrize("deferrable", [False, True])
async def test_it_says_that_the_worker_which_took_the_request_is_silent(
    deferrable: bool,  # noqa: FBT001
    kafka_settings: KafkaSettings,
    conn_id: str,
    context: MakeContext,
) -> None:
    # Given a request without clocks, and a worker that took it and says no more
    pending = await taken_by_a_worker(kafka_settings)
    task = sensor(conn_id, pending=pending.to_json(), deferrable=deferrable, heartbeat_timeout=1.0)
    run = execute_deferred if deferrable else execute
    # When a sensor with a clock waits for it, then that clock ends the wait
    with pytest.raises(WorkerSilentError, match="w-1"):
        await asyncio.to_thread(run, task, context())


def test_its_own_time_out_ends_the_wait_before_the_requests_deadline(
    client: WorkflowClient, responder: Responder, conn_id: str, context: MakeContext
) -> None:
    pending = client.submit("w", {"ignore": True}, timeout=300)
    begun = time.monotonic()

    with pytest.raises(AirflowSensorTimeout):
        execute(sensor(conn_id, pending=pending.to_json(), timeout=1), context())

    assert time.monotonic() - begun < 20


def test_a_soft_time_out_skips(
    client: WorkflowClient, responder: Responder, conn_id: str, context: MakeContext
) -> None:
    pending = client.submit("w", {"ignore": True}, timeout=3)

    with pytest.raises(AirflowSkipException):
        execute(sensor(conn_id, pending=pending.to_json(), soft_fail=True), context())


def test_a_deferral_keeps_to_the_earlier_of_the_two_deadlines(
    client: WorkflowClient, responder: Responder, conn_id: str, context: MakeContext
) -> None:
    pending = client.submit("w", {"ignore": True}, timeout=50)

    with pytest.raises(TaskDeferred) as caught:
        execute(sensor(conn_id, pending=pending.to_json(), deferrable=True, timeout=900), context())

    assert caught.value.trigger.serialize()[1]["pending"] == pending.to_json()


@pytest.mark.parametrize("pending", ["{}", "not JSON", {"correlation_id": "x"}])
def test_what_is_no_pending_request_is_told_so(
    pending: Any, conn_id: str, context: MakeContext, responder: Responder
) -> None:
    with pytest.raises(InvalidEventError, match="pending request"):
        execute(sensor(conn_id, pending=pending), context())


@pytest.mark.parametrize("given", [{}, {"pending": {}, "correlation_id": "x"}], ids=["neither", "both"])
def test_it_takes_either_a_pending_request_or_an_id(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either pending or correlation_id"):
        sensor("c", **given)

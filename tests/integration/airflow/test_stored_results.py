"""Airflow's waiters and the result store: connection, trigger, sensor, and results too large for Airflow's database."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from airflow.sdk.exceptions import TaskDeferred
from blockbuster import blockbuster_ctx

from airflow_integration import WorkflowEventsHook, WorkflowResultSensor, WorkflowResultTrigger
from airflow_integration.batch import pack
from airflow_integration.gather_handover import take_over_gathered
from airflow_integration.gather_trigger import WorkflowGatherTrigger
from airflow_integration.handover import take_over
from tests.integration.airflow.running import execute, execute_deferred, fire, revive
from tests.integration.store.source.answering import StoreApi, answering
from tests.integration.store.source.conftest import KEY, finished, long_ago, pending_for
from workflow_events.errors import ResultTimeoutError, ResultUnavailableError
from workflow_events.settings import KafkaSettings

pytestmark = pytest.mark.kafka_brokers("embedded")

MakeContext = Callable[..., dict[str, Any]]


@pytest.fixture
def store() -> Iterator[StoreApi]:
    with answering() as api:
        yield api


@pytest.fixture
def stored_conn(conn_id: str, store: StoreApi, monkeypatch: pytest.MonkeyPatch) -> str:
    """The connection to the broker, with the store's API in its extra."""
    uri = os.environ["AIRFLOW_CONN_BROKER"]
    monkeypatch.setenv(
        "AIRFLOW_CONN_BROKER",
        f"{uri}&result_store_url={quote(store.url, safe='')}&result_store_api_key={KEY}&result_store_service=airflow",
    )
    return conn_id


async def test_the_trigger_finds_a_result_past_retention_and_blocks_no_loop(
    kafka_settings: KafkaSettings, store: StoreApi, stored_conn: str
) -> None:
    # Given a deferred task's request of long ago, and what Airflow keeps of its trigger
    asked = long_ago()
    store.keep(finished(asked))
    pending = pending_for(kafka_settings, asked)
    trigger = WorkflowResultTrigger(pending.to_json(), stored_conn)
    assert KEY not in json.dumps(trigger.serialize())
    # When a triggerer takes it up
    with blockbuster_ctx():
        payload = await fire(revive(trigger))
    # Then the result is in the event, and the key is not
    assert take_over(payload, never).result == {"from": "the store"}
    assert KEY not in json.dumps(payload)


async def test_a_result_too_large_for_the_event_is_read_from_the_store_by_the_worker(
    kafka_settings: KafkaSettings, store: StoreApi, stored_conn: str
) -> None:
    # Given a large result that only the store has
    asked = long_ago()
    store.keep(finished(asked, result={"text": "x" * 5000}, result_bytes=5012))
    trigger = WorkflowResultTrigger(pending_for(kafka_settings, asked).to_json(), stored_conn, inline_result_limit=1000)
    # When the trigger fires
    payload = await fire(revive(trigger))
    # Then the event is small, and the worker has the result by the event
    assert len(json.dumps(payload)) < 1000
    hook = WorkflowEventsHook(stored_conn)
    taken = await asyncio.to_thread(take_over, payload, never, hook.read_stored)
    assert taken.result == {"text": "x" * 5000}
    # And where it has gone meanwhile, the error says so
    store.runs.clear()
    with pytest.raises(ResultUnavailableError, match=str(asked)):
        await asyncio.to_thread(take_over, payload, never, hook.read_stored)


async def test_of_many_requests_each_is_found_where_it_is(
    kafka_settings: KafkaSettings, store: StoreApi, stored_conn: str
) -> None:
    requests = [pending_for(kafka_settings, long_ago(), seconds=-1, reply_cursor={0: 0, 1: 0, 2: 0})] * 2
    requests[1] = requests[1].model_copy(update={"correlation_id": long_ago()})
    for number, one in enumerate(requests):
        store.keep(finished(one.correlation_id, result={"n": number, "text": "x" * 800}))

    trigger = WorkflowGatherTrigger(pack(requests), "all", stored_conn, inline_result_limit=1200)
    payload = await fire(revive(trigger))

    hook = WorkflowEventsHook(stored_conn)
    gathered = await asyncio.to_thread(take_over_gathered, payload, never, hook.read_stored)
    assert [one.result["n"] for one in gathered.results if one] == [0, 1]
    assert [answer == [] for answer in payload["answers"]] == [False, True]


async def test_a_time_out_tells_the_task_what_was_the_matter_with_the_store(
    kafka_settings: KafkaSettings, store: StoreApi, stored_conn: str
) -> None:
    store.broken = (503, "text/plain", b"")
    trigger = WorkflowResultTrigger(pending_for(kafka_settings, long_ago(), seconds=-1).to_json(), stored_conn)

    payload = await fire(revive(trigger))

    with pytest.raises(ResultTimeoutError, match="Nor could the result store be asked"):
        take_over(payload, never)


def test_a_sensor_finds_it_by_the_id_alone(store: StoreApi, stored_conn: str, context: MakeContext) -> None:
    asked = long_ago()
    store.keep(finished(asked))

    def sensor(**options: Any) -> WorkflowResultSensor:
        return WorkflowResultSensor(
            task_id="wait", correlation_id=str(asked), workflow_events_conn_id=stored_conn, timeout=60, **options
        )

    assert execute(sensor(deferrable=False), context()) == {"from": "the store"}
    with pytest.raises(TaskDeferred) as deferred:
        execute(sensor(deferrable=True), context())
    assert KEY not in repr(deferred.value.trigger.serialize())
    assert execute_deferred(sensor(deferrable=True), context()) == {"from": "the store"}


def test_the_connections_test_asks_the_store_too(
    store: StoreApi, stored_conn: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert WorkflowEventsHook(stored_conn).test_connection()[0]

    store.broken = (401, "application/problem+json", b'{"detail": "The key is revoked."}')
    fine, said = WorkflowEventsHook(stored_conn).test_connection()

    assert not fine
    assert "The key is revoked" in said
    assert KEY not in said + caplog.text


def never(*_: object) -> Any:
    pytest.fail("nothing was to be read there")

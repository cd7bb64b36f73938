from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from airflow_integration import WorkflowEventsHook, WorkflowResultTrigger
from airflow_integration.handover import pending_of, take_over
from airflow_integration.settling import TaskProcess
from airflow_integration.trigger import SettleOptions
from tests.integration.airflow.running import fire, revive
from tests.system.responder import Responder
from workflow_events.client import WorkflowClient
from workflow_events.errors import BrokerUnavailableError, ConfigurationError, ResultTimeoutError
from workflow_events.events import WorkflowResultEvent
from workflow_events.pending import PendingRequest
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.settings import KafkaSettings
from workflow_events.testing.waiting import wait_until


@pytest.fixture
def client(kafka_settings: KafkaSettings) -> Iterator[WorkflowClient]:
    with WorkflowClient(kafka_settings) as client:
        yield client


def waiting_for(pending: PendingRequest, conn_id: str, **options: Any) -> WorkflowResultTrigger:
    return revive(WorkflowResultTrigger(pending.to_json(), conn_id, **options))


def result_of(payload: Any) -> WorkflowResultEvent:
    return take_over(payload, lambda position, pending: pytest.fail("the result was to be in the event"))


async def test_it_fires_once_with_the_result(client: WorkflowClient, responder: Responder, conn_id: str) -> None:
    pending = client.submit("w", {"delay": 0.5})

    payload = await fire(waiting_for(pending, conn_id))

    assert pending_of(payload) == pending
    assert result_of(payload).result == {"echo": {"delay": 0.5}}


async def test_it_finds_a_result_that_was_there_before(
    client: WorkflowClient, responder: Responder, conn_id: str
) -> None:
    pending = client.submit("w", {})
    client.wait(pending)

    assert result_of(await fire(waiting_for(pending, conn_id))).correlation_id == pending.correlation_id


async def test_all_of_a_process_share_one_reader(client: WorkflowClient, responder: Responder, conn_id: str) -> None:
    requests = [client.submit("w", {"n": n, "delay": 1.0}) for n in range(30)]

    settings = WorkflowEventsHook(conn_id).settings
    async with ReplyReader.lease(settings, settings.workflow_results_topic):
        payloads = await asyncio.gather(*(fire(waiting_for(pending, conn_id)) for pending in requests))
        readers = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("reply-reader")]

    assert len(readers) == 1
    assert [result_of(payload).result for payload in payloads] == [{"echo": {"n": n, "delay": 1.0}} for n in range(30)]


async def test_another_process_takes_it_up_after_a_death_and_misses_nothing(
    client: WorkflowClient, responder: Responder, conn_id: str
) -> None:
    with responder.paused():
        pending = client.submit("w", {"n": 1})
        first = asyncio.create_task(fire(waiting_for(pending, conn_id)))
        await asyncio.sleep(0)
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
    await asyncio.to_thread(wait_until, lambda: responder.answered == 1, 20)

    assert result_of(await fire(waiting_for(pending, conn_id))).result == {"echo": {"n": 1}}


async def test_a_result_that_came_in_time_is_found_by_a_triggerer_that_comes_late(
    client: WorkflowClient, responder: Responder, conn_id: str
) -> None:
    pending = client.submit("w", {}, timeout=30)
    client.wait(pending)
    late = pending.model_copy(update={"deadline": datetime.now(tz=UTC) - timedelta(seconds=1)})

    assert result_of(await fire(waiting_for(late, conn_id))).correlation_id == pending.correlation_id


async def test_it_fires_at_the_deadline_with_the_error_that_the_task_raises(
    client: WorkflowClient, responder: Responder, conn_id: str
) -> None:
    pending = client.submit("w", {"ignore": True}, timeout=4)

    payload = await fire(waiting_for(pending, conn_id))

    assert -10 < pending.remaining() < 1
    with pytest.raises(ResultTimeoutError, match=str(pending.correlation_id)):
        result_of(payload)


async def test_without_a_broker_it_fires_within_a_second_of_its_deadline(
    client: WorkflowClient, responder: Responder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", "workflow-events://127.0.0.1:1/?connect_timeout=1")
    pending = client.submit("w", {"ignore": True}, timeout=3)

    payload = await fire(waiting_for(pending, "nowhere"))

    assert -1 < pending.remaining() <= 0
    with pytest.raises((ResultTimeoutError, BrokerUnavailableError), match=r"127\.0\.0\.1:1"):
        result_of(payload)


async def test_a_connection_that_the_triggerer_lacks_is_told_to_the_task(
    client: WorkflowClient, responder: Responder
) -> None:
    pending = client.submit("w", {})

    with pytest.raises(ConfigurationError, match="airflow connections add"):
        result_of(await fire(waiting_for(pending, "missing")))


async def test_it_never_blocks_the_loop_that_it_shares(
    client: WorkflowClient, responder: Responder, conn_id: str
) -> None:
    pending = client.submit("w", {"delay": 1, "size": 500_000})

    with blockbuster_ctx():  # whatever blocks raises here: files, sockets, locks, sleep
        payload = await fire(waiting_for(pending, conn_id))

    assert pending_of(payload) == pending


class TestSettling:
    def settle(self, process: TaskProcess, **options: float) -> SettleOptions:
        return SettleOptions(
            interval=options.get("interval", 0.5), margin=options.get("margin", 0.5), process=process.to_json()
        )

    async def test_a_result_is_kept_until_the_tasks_process_has_been_waited_for_and_the_margin_is_over(
        self, client: WorkflowClient, responder: Responder, conn_id: str
    ) -> None:
        pending = client.submit("w", {})
        task = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        process = TaskProcess(task.pid, TaskProcess.current().namespace)
        firing = asyncio.create_task(fire(waiting_for(pending, conn_id, settle=self.settle(process))))
        await asyncio.to_thread(wait_until, lambda: responder.answered == 1, 20)

        done, _ = await asyncio.wait({firing}, timeout=2)  # longer than interval and margin together
        assert not done
        await asyncio.to_thread(task.communicate, b"\n")
        gone = time.monotonic()
        await firing

        assert 0.3 < time.monotonic() - gone < 15

    async def test_a_process_that_cannot_be_seen_is_given_the_interval_and_the_margin(
        self, client: WorkflowClient, responder: Responder, conn_id: str
    ) -> None:
        pending = client.submit("w", {})
        client.wait(pending)
        begun = time.monotonic()

        await fire(waiting_for(pending, conn_id, settle=self.settle(TaskProcess(os.getpid(), "elsewhere"), margin=1)))

        assert 1.5 <= time.monotonic() - begun < 30

    async def test_in_the_tasks_own_process_there_is_nothing_to_wait_for(
        self, client: WorkflowClient, responder: Responder, conn_id: str
    ) -> None:
        pending = client.submit("w", {})
        client.wait(pending)
        begun = time.monotonic()

        await fire(waiting_for(pending, conn_id, settle=self.settle(TaskProcess.current(), interval=60)))

        assert time.monotonic() - begun < 30

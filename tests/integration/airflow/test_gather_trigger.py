"""Many requests in one trigger."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from airflow_integration import WorkflowGatherTrigger
from airflow_integration.batch import pack
from airflow_integration.gather_handover import Gathered, take_over_gathered
from airflow_integration.hook import WorkflowEventsHook
from tests.integration.airflow.running import fire, revive
from tests.system.responder import Responder
from workflow_events.client import WorkflowClient
from workflow_events.errors import (
    BrokerUnavailableError,
    ConfigurationError,
    GatherTimeoutError,
    ResultUnavailableError,
)
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.settings import KafkaSettings
from workflow_events.testing.waiting import wait_until

SILENT = {"ignore": True}


def numbers(gathered: Gathered) -> list[Any]:
    echoes: list[Any] = [one.result["echo"] for one in gathered.results if one is not None]
    return [echo["n"] for echo in echoes]


def waiting_for(requests: Any, conn_id: str, **options: Any) -> WorkflowGatherTrigger:
    return revive(WorkflowGatherTrigger(pack(requests), workflow_events_conn_id=conn_id, **options))


def taken_over(payload: Any, conn_id: str) -> Gathered:
    return take_over_gathered(payload, WorkflowEventsHook(conn_id).read_results)


async def test_it_fires_once_with_all_results(
    kafka_settings: KafkaSettings, responder: Responder, conn_id: str
) -> None:
    with WorkflowClient(kafka_settings) as client:
        requests = client.submit_many("w", [{"n": n, "delay": 0.1 * n} for n in range(5)])

    taken = taken_over(await fire(waiting_for(requests, conn_id)), conn_id)

    assert taken.requests == requests
    assert numbers(taken) == list(range(5))
    assert taken.timed_out is None


async def test_large_results_go_as_places_and_are_read_back(
    kafka_settings: KafkaSettings, responder: Responder, conn_id: str
) -> None:
    with WorkflowClient(kafka_settings) as client:
        requests = client.submit_many("w", [{"n": n, "size": 3_000} for n in range(100)])

    payload = await fire(waiting_for(requests, conn_id, inline_result_limit=16_384))
    taken = await asyncio.to_thread(taken_over, payload, conn_id)

    assert [isinstance(answer, str) for answer in payload["answers"]] == [True] * 5 + [False] * 95
    assert len(json.dumps(payload)) < 16_384 * 2
    assert numbers(taken) == list(range(100))


async def test_what_retention_took_before_the_task_went_on_is_said(
    kafka_settings: KafkaSettings, responder: Responder, conn_id: str
) -> None:
    with WorkflowClient(kafka_settings) as client:
        requests = client.submit_many("w", [{"n": n, "size": 3_000} for n in range(3)])
    payload = await fire(waiting_for(requests, conn_id, inline_result_limit=0))
    payload["answers"][1][1] += 1_000

    with pytest.raises(ResultUnavailableError, match=str(requests[1].correlation_id)):
        await asyncio.to_thread(taken_over, payload, conn_id)


async def test_another_process_takes_it_up_after_a_death_and_misses_nothing(
    kafka_settings: KafkaSettings, responder: Responder, conn_id: str
) -> None:
    with WorkflowClient(kafka_settings) as client, responder.paused():
        requests = client.submit_many("w", [{"n": n} for n in range(20)])
        first = asyncio.create_task(fire(waiting_for(requests, conn_id)))
        await asyncio.to_thread(wait_until, lambda: len(responder.requests) == 20, 20)
        first.cancel()
        await asyncio.wait({first})
    await asyncio.to_thread(wait_until, lambda: responder.answered == 20, 20)

    taken = taken_over(await fire(waiting_for(requests, conn_id)), conn_id)

    assert numbers(taken) == list(range(20))


async def test_results_that_came_in_time_are_found_by_a_triggerer_that_comes_late(
    kafka_settings: KafkaSettings, responder: Responder, conn_id: str
) -> None:
    with WorkflowClient(kafka_settings) as client:
        requests = client.submit_many("w", [{"n": 0}, {"n": 1, **SILENT}], timeout=30)
        await asyncio.to_thread(client.wait, requests[0])
    past = datetime.now(tz=UTC) - timedelta(seconds=1)
    late = [request.model_copy(update={"deadline": past}) for request in requests]

    taken = taken_over(await fire(waiting_for(late, conn_id)), conn_id)

    assert [one is not None for one in taken.results] == [True, False]
    assert taken.timed_out is not None
    assert taken.timed_out.indexes == [1]


async def test_without_a_broker_it_fires_within_a_second_of_its_deadline(
    kafka_settings: KafkaSettings, responder: Responder, conn_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", "workflow-events://127.0.0.1:1/?connect_timeout=1")
    with WorkflowClient(kafka_settings) as client:
        requests = client.submit_many("w", [SILENT, SILENT], timeout=3)

    payload = await fire(waiting_for(requests, "nowhere"))

    assert -1 < requests[0].remaining() <= 0
    with pytest.raises((GatherTimeoutError, BrokerUnavailableError), match=r"127\.0\.0\.1:1"):
        raise taken_over(payload, conn_id).timed_out or AssertionError("it did not time out")


async def test_a_connection_that_the_triggerer_lacks_is_told_to_the_task(
    kafka_settings: KafkaSettings, responder: Responder, conn_id: str
) -> None:
    with WorkflowClient(kafka_settings) as client:
        requests = client.submit_many("w", [{}, {}])

    with pytest.raises(ConfigurationError, match="airflow connections add"):
        taken_over(await fire(waiting_for(requests, "missing")), conn_id)


async def test_others_in_the_loop_have_their_turn_while_thousands_begin_to_wait(
    kafka_settings: KafkaSettings, conn_id: str
) -> None:
    # Given 2,000 requests that nobody answers
    with WorkflowClient(kafka_settings) as client:
        requests = await asyncio.to_thread(client.submit_many, "w", [{}] * 2_000, timeout=100)
    settings = WorkflowEventsHook(conn_id).settings
    async with ReplyReader.lease(settings, settings.workflow_results_topic) as reader:
        # When they are waited for
        firing = asyncio.create_task(fire(waiting_for(requests, conn_id)))
        seen = [0]
        while seen[-1] < 2_000:
            await asyncio.sleep(0)
            seen.append(len(reader._correlator))
        firing.cancel()
        await asyncio.wait({firing})
    # Then between two turns of somebody else no more than a few hundred have begun
    assert max(after - before for before, after in pairwise(seen)) <= 250

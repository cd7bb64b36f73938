"""Clocks and progress on every broker. A worker's stand-in says what the test has it say."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from workflow_events import (
    AsyncWorkflowClient,
    KafkaSettings,
    NotAcceptedError,
    PendingRequest,
    ResultTimeoutError,
    WorkerSilentError,
    WorkflowClient,
    WorkflowEvent,
    WorkflowResultEvent,
)
from workflow_events.events import EventType, WorkflowEventPayload
from workflow_events.progress.worker_group import ask_for_group
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.new_topics import settings_with_new_topics
from workflow_events.testing.waiting import wait_until
from workflow_events.transport import aio
from workflow_events.wire import OutgoingMessage

Say = Callable[..., Awaitable[None]]


def said(settings: KafkaSettings, about: UUID, what: EventType, **data: Any) -> OutgoingMessage:
    """An event of a run, as the wire contract has it."""
    event = WorkflowEvent(
        event_type=what,
        source="langgraph",
        workflow_id="w",
        workflow_run_id="r",
        payload=WorkflowEventPayload(data={"correlation_id": str(about), "worker": "w-1", **data}),
    )
    key = str(about).encode()
    return OutgoingMessage(
        settings.workflow_progress_topic, event.model_dump_json().encode(), key, [("correlation-id", key)]
    )


@pytest.fixture
async def say(kafka_settings: KafkaSettings) -> AsyncIterator[Say]:
    """Publish an event of a run."""
    producer = await aio.start_producer(kafka_settings)

    async def saying(about: UUID, what: EventType, **data: Any) -> None:
        await aio.send(producer, said(kafka_settings, about, what, **data), 10)

    yield saying
    await producer.stop()


def answer(pending: PendingRequest) -> WorkflowResultEvent:
    return WorkflowResultEvent(
        correlation_id=pending.correlation_id, workflow_id="w", workflow_run_id="r", result={"n": 1}
    )


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said is tested here, on machines however busy; when it is said, ``make chaos`` measures."""
    for limit in ("_ASK_SECONDS", "_HEAR_SECONDS"):
        monkeypatch.setattr(f"workflow_events.progress.running_out.{limit}", 30.0)


def readers() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("progress-reader")]


async def test_a_request_that_nobody_takes_fails_early_and_says_so(kafka_settings: KafkaSettings) -> None:
    async with AsyncWorkflowClient(kafka_settings) as client:
        # When a request's clock runs out long before its deadline
        with pytest.raises(NotAcceptedError) as caught:
            await client.request("w", {}, timeout=3600, accepted_timeout=0.5)
    # Then the error says that nobody took it, and what is known of the workers' group
    for word in (str(caught.value.pending.correlation_id), "No worker took", "langgraph-workers"):
        assert word in str(caught.value)
    assert isinstance(caught.value, ResultTimeoutError)
    assert readers() == []


@pytest.mark.kafka_brokers("apache")
async def test_the_error_tells_a_missing_group_from_one_that_is_behind(kafka_settings: KafkaSettings) -> None:
    async with AsyncWorkflowClient(kafka_settings) as client:
        # Given no group of that name
        missing = kafka_settings.replace(workflow_worker_group="nobody-started-this")
        async with AsyncWorkflowClient(missing) as lonely:
            with pytest.raises(NotAcceptedError, match=r"There is no consumer group 'nobody-started-this'"):
                await lonely.request("w", {}, timeout=3600, accepted_timeout=0.5)
        # Given a group with a member that commits nothing
        worker = await aio.start_consumer(
            kafka_settings, kafka_settings.workflow_events_topic, group_id=kafka_settings.workflow_worker_group
        )
        try:
            async with asyncio.timeout(60):
                while not worker.assignment():
                    await worker.getmany(timeout_ms=100)
            with pytest.raises(NotAcceptedError, match=r"has 1 member, and its lag on .* is 2") as caught:
                await client.request("w", {}, timeout=3600, accepted_timeout=0.5)
        finally:
            await worker.stop()
    assert caught.value.group is not None
    assert caught.value.group.exists


def test_a_cluster_in_which_nobody_has_ever_been_in_a_group_says_that_there_is_none() -> None:
    # Given a cluster that makes the topic of its groups only when it is asked about one
    with ApacheKafka() as broker, ThreadPoolExecutor(8) as threads:
        settings = settings_with_new_topics(broker.bootstrap_servers)
        # When many ask at once
        reports = list(threads.map(lambda _: ask_for_group(settings, 20), range(8)))
    # Then none of them takes "not yet" for the answer
    assert {report.state for report in reports} == {"Dead"}
    assert "There is no consumer group" in reports[0].describe()


async def test_a_worker_that_goes_silent_fails_the_wait_and_is_named(kafka_settings: KafkaSettings, say: Say) -> None:
    async with AsyncWorkflowClient(kafka_settings) as client:
        pending = await client.submit("w", {}, timeout=3600, accepted_timeout=60, heartbeat_timeout=0.5)
        await say(pending.correlation_id, EventType.WORKFLOW_ACCEPTED)
        await say(pending.correlation_id, EventType.WORKFLOW_HEARTBEAT, node="plan")
        with pytest.raises(WorkerSilentError) as caught:
            await client.wait(pending)
    for word in ("w-1", "workflow.heartbeat in node 'plan'", str(pending.correlation_id)):
        assert word in str(caught.value)


async def test_who_takes_up_a_wait_late_finds_that_the_request_was_taken(
    kafka_settings: KafkaSettings, say: Say, publish: Any
) -> None:
    # Given a request that was taken in time, and whose waiter is gone
    async with AsyncWorkflowClient(kafka_settings) as client:
        pending = await client.submit("w", {}, timeout=60, accepted_timeout=0.2)
    await say(pending.correlation_id, EventType.WORKFLOW_ACCEPTED)
    stored = pending.to_json()
    # When another takes it up after the clock's time, and the result comes later still
    async with AsyncWorkflowClient(kafka_settings) as client:
        taken_up = PendingRequest.from_json(stored)
        taken_up = taken_up.model_copy(update={"accepted_by": datetime.now(tz=UTC) - timedelta(seconds=5)})
        waiting = asyncio.create_task(client.wait(taken_up))
        async with contextlib.aclosing(client.progress(taken_up)) as events:
            heard = await anext(events)
        await publish(kafka_settings, [answer(pending)])
        # Then it has its result
        assert (await waiting).result == {"n": 1}
    assert heard.event_type == "workflow.accepted"


async def test_the_reply_wins_over_a_clock_that_ran_out_long_ago(kafka_settings: KafkaSettings, publish: Any) -> None:
    # Given a result that is there, of a worker that says nothing of its progress
    async with AsyncWorkflowClient(kafka_settings) as client:
        pending = await client.submit("w", {}, timeout=60, accepted_timeout=0.01, heartbeat_timeout=0.01)
        await publish(kafka_settings, [answer(pending)])
    # When it is waited for after the clock's time, from an event loop and from a thread
    async with AsyncWorkflowClient(kafka_settings) as client:
        result = await client.wait(pending)
    with WorkflowClient(kafka_settings) as client_of_thread:
        again = await asyncio.to_thread(client_of_thread.wait, pending)
    # Then it is found, and not blamed on anybody
    assert result == again
    assert result.result == {"n": 1}


async def test_waits_with_clocks_share_one_reader_and_those_without_have_none(
    kafka_settings: KafkaSettings, respond: Any, publish: Any
) -> None:
    async with AsyncWorkflowClient(kafka_settings) as client:
        async with respond(kafka_settings):
            plain = await asyncio.gather(*(client.request("w", {"n": n}, timeout=60) for n in range(5)))
            assert len(plain) == 5
            assert readers() == []
        clocked = [await client.submit("w", {}, timeout=60, accepted_timeout=50) for _ in range(20)]
        waiting = [asyncio.create_task(client.wait(pending)) for pending in clocked]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(readers()) == 1
        await publish(kafka_settings, [answer(pending) for pending in clocked])
        await asyncio.gather(*waiting)
        assert readers() == []


async def test_a_gathering_does_not_wait_for_what_nobody_takes(kafka_settings: KafkaSettings) -> None:
    async with AsyncWorkflowClient(kafka_settings) as client:
        with pytest.raises(ResultTimeoutError, match="0 of 2") as caught:
            await client.gather("w", [{}, {}], timeout=3600, accepted_timeout=0.5)
    assert isinstance(caught.value.__cause__, NotAcceptedError)


async def test_an_iterator_tells_a_runs_progress_from_its_begin_to_its_result(
    kafka_settings: KafkaSettings, say: Say, publish: Any
) -> None:
    async with AsyncWorkflowClient(kafka_settings) as client:
        pending = await client.submit("w", {}, timeout=60)
        # Given a run of which something was said before anybody listened, beside a stranger's
        await say(UUID(int=7), EventType.WORKFLOW_ACCEPTED)
        await say(pending.correlation_id, EventType.WORKFLOW_ACCEPTED)
        await say(pending.correlation_id, EventType.WORKFLOW_PROGRESS, kind="node_started", node="plan", step=1)
        told: list[str] = []
        async for event in client.progress(pending):
            told.append(str(event.payload.data.get("kind", event.event_type)))
            if len(told) == 2:
                # When the rest comes while it is followed
                await say(pending.correlation_id, EventType.WORKFLOW_PROGRESS, kind="node_finished", node="plan")
                await publish(kafka_settings, [answer(pending)])
        # Then all of it is told, once and in order, and the iterator ends
        assert told == ["workflow.accepted", "node_started", "node_finished"]
        assert readers() == []


async def test_an_iterator_ends_at_the_deadline_where_nothing_is_said(kafka_settings: KafkaSettings) -> None:
    async with AsyncWorkflowClient(kafka_settings) as client:
        pending = await client.submit("w", {}, timeout=2)
        assert [event async for event in client.progress(pending)] == []


async def test_a_missing_progress_topic_is_said_once_and_blamed_on_no_worker(
    kafka_settings: KafkaSettings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow_events.transport.aio.TOPIC_PATIENCE", 0.2)
    elsewhere = kafka_settings.replace(workflow_progress_topic="nobody-made-this")
    async with AsyncWorkflowClient(elsewhere) as client:
        with caplog.at_level(logging.WARNING, "workflow_events.progress"):
            for _ in range(2):
                with pytest.raises(NotAcceptedError, match=r"is not known: .*nobody-made-this") as caught:
                    await client.request("w", {}, timeout=3600, accepted_timeout=2)
                assert "No worker" not in str(caught.value)
        pending = await client.submit("w", {}, timeout=3600, heartbeat_timeout=2)
        with pytest.raises(WorkerSilentError, match=r"is not known: .*nobody-made-this"):
            await client.wait(pending)
    assert len([one for one in caplog.records if one.name.startswith("workflow_events.progress")]) == 1


async def test_a_thread_hears_of_progress_while_it_waits(kafka_settings: KafkaSettings, say: Say, publish: Any) -> None:
    told: list[str] = []
    with WorkflowClient(kafka_settings) as client:
        pending = await asyncio.to_thread(client.submit, "w", {}, timeout=60, accepted_timeout=50)
        waiting = asyncio.create_task(
            asyncio.to_thread(client.wait, pending, on_progress=lambda event: told.append(event.event_type))
        )
        await say(pending.correlation_id, EventType.WORKFLOW_ACCEPTED)
        await asyncio.to_thread(wait_until, lambda: told == ["workflow.accepted"], 30)
        await say(pending.correlation_id, EventType.WORKFLOW_PROGRESS, kind="custom", data={"done": 1})
        await publish(kafka_settings, [answer(pending)])
        assert (await waiting).result == {"n": 1}
    assert told == ["workflow.accepted", "workflow.progress"]


def test_a_threads_clocks_end_its_wait_too(kafka_settings: KafkaSettings) -> None:
    with WorkflowClient(kafka_settings) as client:
        with pytest.raises(NotAcceptedError, match="No worker took"):
            client.request("w", {}, timeout=3600, accepted_timeout=0.3)
        pending = client.submit("w", {}, timeout=3600)
        with pytest.raises(NotAcceptedError, match="No worker took"):
            client.wait(pending, accepted_timeout=0.3)


def test_a_threads_gathering_does_not_wait_for_what_nobody_takes(kafka_settings: KafkaSettings) -> None:
    with WorkflowClient(kafka_settings) as client, pytest.raises(ResultTimeoutError, match="0 of 3") as caught:
        client.gather("w", [{}, {}, {}], timeout=3600, accepted_timeout=0.3)
    assert isinstance(caught.value.__cause__, NotAcceptedError)

"""A result that the topic keeps no longer is found in the result store, whoever waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.admin import OffsetSpec

from airflow_integration import WorkflowResultPoller
from result_store.records import Phase, RunState
from tests.integration.store.source.answering import StoreApi
from tests.integration.store.source.conftest import finished, long_ago, pending_for, with_store
from workflow_events import (
    AsyncWorkflowClient,
    GatherTimeoutError,
    KafkaSettings,
    PendingRequest,
    ResultTimeoutError,
    WorkflowClient,
    WorkflowResultEvent,
    wire,
)
from workflow_events.identifiers import new_event_id
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.replies.sync_reader import SyncReplyReader
from workflow_events.testing.waiting import wait_until
from workflow_events.topics import ensure_topics
from workflow_events.transport import aio, blocking

on_one_broker = pytest.mark.kafka_brokers("embedded")
"""Of what the store does, not of what the log does."""

Wait = Callable[[KafkaSettings, PendingRequest], Coroutine[Any, Any, WorkflowResultEvent]]


async def by_thread(settings: KafkaSettings, pending: PendingRequest) -> WorkflowResultEvent:
    def wait() -> WorkflowResultEvent:
        with WorkflowClient(settings) as client:
            return client.wait(pending)

    return await asyncio.to_thread(wait)


async def by_loop(settings: KafkaSettings, pending: PendingRequest) -> WorkflowResultEvent:
    async with AsyncWorkflowClient(settings) as client:
        return await client.wait(pending)


@pytest.fixture(params=[by_thread, by_loop])
def wait(request: pytest.FixtureRequest) -> Wait:
    """Waits as a program does that has threads, and as one that has an event loop."""
    chosen: Wait = request.param
    return chosen


async def publish(settings: KafkaSettings, result: WorkflowResultEvent) -> None:
    producer = await aio.start_producer(settings)
    try:
        await aio.send(producer, wire.result_message(result, topic=settings.workflow_results_topic), 30)
    finally:
        await producer.stop()


async def test_a_result_past_retention_is_found(settings: KafkaSettings, store: StoreApi, wait: Wait) -> None:
    # Given a request of long ago whose result only the store has
    asked = long_ago()
    store.keep(finished(asked, usage={"total_tokens": 7}, thread_id="t", duration_ms=12.5))
    # When somebody waits for it
    result = await wait(settings, pending_for(settings, asked))
    # Then it is the result as it was, and the store was asked once, by the service and with its key
    assert result.result == {"from": "the store"}
    assert (result.usage, result.thread_id, result.duration_ms) == ({"total_tokens": 7}, "t", 12.5)
    [(path, headers)] = store.asked
    assert path == f"/internal/v1/results/{asked}"
    assert headers["x-service-id"] == "tests"
    assert headers["x-internal-api-key"].startswith("wfk_1_")
    assert headers["x-correlation-id"] == str(asked)


@on_one_broker
async def test_who_begins_to_wait_after_the_deadline_still_finds_it(
    settings: KafkaSettings, store: StoreApi, wait: Wait
) -> None:
    asked = long_ago()
    store.keep(finished(asked))

    assert (await wait(settings, pending_for(settings, asked, seconds=-3600))).result == {"from": "the store"}


@on_one_broker
async def test_the_poller_finds_it_by_the_id_alone(settings: KafkaSettings, store: StoreApi) -> None:
    asked = long_ago()
    store.keep(finished(asked, RunState.FAILURE, error="no"))

    with WorkflowResultPoller(settings=settings, timeout=60) as poller:
        found = await asyncio.to_thread(poller.poll_for_result, asked)

    assert found is not None
    assert (found["status"], found["error"]) == ("failure", "no")


@on_one_broker
async def test_a_failure_of_an_earlier_attempt_is_not_handed_to_a_later_one(
    settings: KafkaSettings, store: StoreApi, wait: Wait
) -> None:
    # Given two requests whose first attempts are in the store: one failed, one succeeded
    failed, succeeded = long_ago(), long_ago()
    store.keep(finished(failed, RunState.ERROR, error="broke"))
    store.keep(finished(succeeded))
    # When the second attempts wait
    with pytest.raises(ResultTimeoutError) as caught:
        await wait(settings, pending_for(settings, failed, seconds=-1, attempt=2))
    # Then the failure is passed over, and the success is taken
    assert caught.value.store is None
    assert (await wait(settings, pending_for(settings, succeeded, seconds=-1, attempt=2))).status == "success"


@on_one_broker
async def test_a_request_that_is_still_running_is_answered_by_the_log(
    settings: KafkaSettings, store: StoreApi, wait: Wait
) -> None:
    # Given an old request that the store knows to be running
    asked = long_ago()
    running = finished(
        asked, RunState.RUNNING, phase=Phase.RUNNING, status=None, result=None, result_attempt=None, finished_at=None
    )
    store.keep(running)
    waiting = asyncio.create_task(wait(settings, pending_for(settings, asked)))
    await asyncio.to_thread(wait_until, lambda: store.asked, 60)
    # When the result is published
    await publish(settings, event(asked, {"from": "the log"}))
    # Then that is it
    assert (await waiting).result == {"from": "the log"}


NO_RESULT = finished(long_ago()).model_copy(update={"workflow_id": ""}).model_dump_json().encode()


@on_one_broker
@pytest.mark.parametrize(
    "broken",
    [
        pytest.param((503, "application/problem+json", b'{"detail": "The database is away."}'), id="away"),
        pytest.param((401, "application/problem+json", b'{"detail": "No such key."}'), id="refused"),
        pytest.param((200, "text/html", b"<h1>Welcome</h1>"), id="another server"),
        pytest.param((307, "text/plain", b""), id="a redirect"),
        pytest.param((200, "application/json", NO_RESULT), id="a result that is none"),
    ],
)
async def test_without_the_store_the_log_answers_as_ever(
    settings: KafkaSettings, store: StoreApi, wait: Wait, broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a store that is no help, two old requests of which the log has one result, and clients that log all they can
    caplog.set_level(logging.DEBUG)
    store.broken = broken
    there, missing = long_ago(), long_ago()
    await publish(settings, event(there, {"from": "the log"}))
    # When both are waited for
    assert (await wait(settings, pending_for(settings, there))).result == {"from": "the log"}
    with pytest.raises(ResultTimeoutError) as caught:
        await wait(settings, pending_for(settings, missing, seconds=-1))
    # Then the time-out says what was the matter with the store, the log does too, and neither shows the key
    assert store.url in str(caught.value)
    assert "Nor could the result store be asked" in str(caught.value)
    assert "waiting without the result store" in caplog.text
    assert "a-secret" not in caplog.text + str(caught.value) + repr(settings)


@on_one_broker
async def test_a_store_that_does_not_run_holds_nobody_up(settings: KafkaSettings, wait: Wait) -> None:
    # Port 9 of loopback has no listener
    alone = with_store(settings, "http://127.0.0.1:9")
    asked = long_ago()
    await publish(alone, event(asked, {"from": "the log"}))

    assert (await wait(alone, pending_for(alone, asked))).result == {"from": "the log"}


@pytest.mark.kafka_brokers("apache")
async def test_who_is_behind_what_retention_has_taken_asks_the_store(
    settings: KafkaSettings, store: StoreApi, wait: Wait
) -> None:
    # Given a young request, of whose reply topic retention has taken everything
    asked = new_event_id()
    for _ in range(10):
        await publish(settings, event(new_event_id(), {}))
    store.keep(finished(asked))
    await asyncio.to_thread(forget_all, settings)
    # When somebody waits who was to read from before
    result = await wait(settings, pending_for(settings, asked))
    # Then the store has been asked
    assert result.result == {"from": "the store"}


def forget_all(settings: KafkaSettings) -> None:
    admin = blocking.new_admin(settings)
    try:
        every = [TopicPartition(settings.workflow_results_topic, one) for one in range(settings.topic_partitions)]
        ends = admin.list_partition_offsets(dict.fromkeys(every, OffsetSpec.LATEST))
        admin.delete_records({at: one.offset for at, one in ends.items() if one.offset})
    finally:
        admin.close()


def make_anew(settings: KafkaSettings) -> None:
    admin = blocking.new_admin(settings)
    try:
        admin.delete_topics([settings.workflow_results_topic])
    finally:
        admin.close()
    ensure_topics(settings)


async def test_who_loses_its_place_in_the_log_while_it_waits_asks_the_store(
    settings: KafkaSettings, store: StoreApi, wait: Wait
) -> None:
    # Given a young request that is waited for: nobody asks the store for it, and the reader has read something
    for _ in range(3):
        await publish(settings, event(new_event_id(), {}))
    asked = new_event_id()
    pending = pending_for(settings, asked)
    waiting = asyncio.create_task(wait(settings, pending))
    await publish(settings, event(asked, {}, attempt=1, status="error"))
    assert (await waiting).status == "error"
    second = pending.model_copy(update={"attempt": 2})
    if wait is by_loop:
        async with ReplyReader.lease(settings, settings.workflow_results_topic) as reader:
            again = asyncio.create_task(reader.wait(second))
            await loses_its_place(settings, store, lambda: sum(reader.cursor().values()), asked)
            found = (await again).event
    else:
        sync_reader = SyncReplyReader(settings, settings.workflow_results_topic, poll_interval=0.1)
        again = asyncio.create_task(asyncio.to_thread(sync_reader.wait, second))
        await loses_its_place(settings, store, lambda: sum(sync_reader.progress().read_to.values()), asked)
        found = (await again).event
        sync_reader.close()
    # Then the store's result is it
    assert found.result == {"from": "the store"}


async def loses_its_place(settings: KafkaSettings, store: StoreApi, read: Callable[[], int], asked: Any) -> None:
    await asyncio.to_thread(wait_until, lambda: read() >= 4, 60)
    assert not store.asked
    store.keep(finished(asked, result_attempt=2))
    await asyncio.to_thread(make_anew, settings)


@on_one_broker
async def test_many_are_gathered_from_both(settings: KafkaSettings, store: StoreApi) -> None:
    # Given old requests, every second of which only the store has, and one that nobody has
    requests = [pending_for(settings, long_ago(), seconds=-1) for _ in range(7)]
    for index, one in enumerate(requests[:-1]):
        if index % 2:
            store.keep(finished(one.correlation_id))
        else:
            await publish(settings, event(one.correlation_id, {"from": "the log"}))

    def gather() -> list[Any]:
        with WorkflowClient(settings) as client:
            return client.wait_many(requests)

    with pytest.raises(GatherTimeoutError) as caught:
        await asyncio.to_thread(gather)
    assert caught.value.indexes == [6]
    assert [one.result["from"] for one in caught.value.results[:-1] if one] == ["the log", "the store"] * 3


def event(correlation_id: Any, result: dict[str, Any], **changes: Any) -> WorkflowResultEvent:
    return WorkflowResultEvent.model_validate(
        {"correlation_id": correlation_id, "workflow_id": "w", "workflow_run_id": "r", "result": result, **changes}
    )

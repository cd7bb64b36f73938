"""Request and reply from an event loop, on every broker."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from workflow_events import (
    AsyncWorkflowClient,
    BrokerUnavailableError,
    DeliveryError,
    KafkaSettings,
    MessageTooLargeError,
    PendingRequest,
    ResultStatus,
    ResultTimeoutError,
    TopicNotFoundError,
    WorkflowErroredError,
    WorkflowEvent,
    WorkflowEventsError,
    WorkflowResultEvent,
)
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.testing.embedded import EmbeddedBroker
from workflow_events.testing.new_topics import settings_with_new_topics
from workflow_events.testing.processes import free_port


def echo(event: WorkflowEvent, **changes: Any) -> WorkflowResultEvent:
    return WorkflowResultEvent(
        correlation_id=event.event_id,
        workflow_id=event.workflow_id,
        workflow_run_id=event.workflow_run_id,
        attempt=event.attempt,
        **{"result": {"echo": event.payload.data}, **changes},
    )


async def test_a_request_gets_its_own_answer(kafka_settings: KafkaSettings, respond: Any) -> None:
    async with respond(kafka_settings), AsyncWorkflowClient(kafka_settings) as client:
        result = await client.request("w", {"n": 1}, timeout=20)
    assert result.raise_for_status().result == {"echo": {"n": 1}}


async def test_a_thousand_concurrent_requests_get_a_thousand_right_answers_over_one_connection(
    kafka_settings: KafkaSettings, respond: Any
) -> None:
    # Given an echo that answers everything twice
    async with (
        respond(kafka_settings, answer=lambda event: [echo(event), echo(event)]),
        AsyncWorkflowClient(kafka_settings) as client,
    ):
        threads = threading.active_count()
        # When a thousand ask at once
        results = await asyncio.gather(*(client.request("w", {"n": n}, timeout=60) for n in range(1000)))
        # Then each has its own, and no thread was started for it
        assert [result.result for result in results] == [{"echo": {"n": n}} for n in range(1000)]
        assert threading.active_count() == threads


async def test_a_result_that_was_there_before_anybody_waited_is_found(
    kafka_settings: KafkaSettings, respond: Any
) -> None:
    # Given requests whose results have come, and whose client is gone
    async with respond(kafka_settings), AsyncWorkflowClient(kafka_settings) as client:
        pending = [await client.submit("w", {"n": n}, timeout=60) for n in range(20)]
        await asyncio.gather(*map(client.wait, pending))
    # When another process takes up what was written down
    taken_up = [PendingRequest.from_json(request.to_json()) for request in pending]
    async with AsyncWorkflowClient(kafka_settings) as client:
        results = await asyncio.gather(*(client.wait(request) for request in taken_up))
    # Then each finds its own
    assert [result.result["echo"] for result in results] == [{"n": n} for n in range(20)]


async def test_a_wait_that_begins_after_the_deadline_still_finds_the_result(
    kafka_settings: KafkaSettings, respond: Any
) -> None:
    async with respond(kafka_settings), AsyncWorkflowClient(kafka_settings) as client:
        pending = await client.submit("w", {"n": 1}, timeout=30)
        await client.wait(pending)
        long_ago = pending.model_copy(update={"deadline": pending.deadline.replace(year=2020)})
        assert (await client.wait(long_ago)).result == {"echo": {"n": 1}}


async def test_nobody_answering_ends_at_the_deadline_in_words(kafka_settings: KafkaSettings) -> None:
    async with AsyncWorkflowClient(kafka_settings) as client:
        pending = await client.submit("w", {}, timeout=3)
        with pytest.raises(ResultTimeoutError) as caught:
            await client.wait(pending)
        assert pending.remaining() > -5
    for said in (str(pending.correlation_id), kafka_settings.workflow_results_topic, "worker"):
        assert said in str(caught.value)
    assert caught.value.pending == pending


async def test_a_result_that_is_no_success_is_returned_and_raises_when_asked(
    kafka_settings: KafkaSettings, respond: Any
) -> None:
    broken = {"status": ResultStatus.ERROR, "error": "no model", "result": {}}
    async with (
        respond(kafka_settings, answer=lambda event: [echo(event, **broken)]),
        AsyncWorkflowClient(kafka_settings) as client,
    ):
        result = await client.request("w", {}, timeout=20)
    with pytest.raises(WorkflowErroredError, match="no model"):
        result.raise_for_status()


async def test_a_stale_failure_is_passed_over_for_the_answer_to_this_attempt(
    kafka_settings: KafkaSettings, respond: Any
) -> None:
    def answer(event: WorkflowEvent) -> list[WorkflowResultEvent]:
        return [echo(event, status="error", result={}).model_copy(update={"attempt": 1}), echo(event)]

    async with respond(kafka_settings, answer=answer), AsyncWorkflowClient(kafka_settings) as client:
        result = await client.request("w", {"n": 1}, timeout=20, attempt=2)
    assert (result.status, result.attempt) == (ResultStatus.SUCCESS, 2)


async def test_a_cancelled_wait_leaves_nothing_behind(kafka_settings: KafkaSettings) -> None:
    async with AsyncWorkflowClient(kafka_settings) as client:
        pending = await client.submit("w", {}, timeout=60)
        waiting = asyncio.create_task(client.wait(pending))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("reply-")]


async def test_closing_the_client_under_a_waiter_tells_the_waiter(kafka_settings: KafkaSettings) -> None:
    async with AsyncWorkflowClient(kafka_settings) as client:
        pending = await client.submit("w", {}, timeout=60)
        waiting = asyncio.create_task(client.wait(pending))
        await asyncio.sleep(0)
    with pytest.raises(WorkflowEventsError, match="closed"):
        await waiting


async def test_a_request_that_is_too_large_is_refused_and_waited_for_no_more(kafka_settings: KafkaSettings) -> None:
    async with AsyncWorkflowClient(kafka_settings) as client:
        with pytest.raises(MessageTooLargeError, match="KAFKA_MAX_MESSAGE_BYTES"):
            await client.request("w", {"text": "x" * 2_000_000}, timeout=60)
        async with ReplyReader.lease(kafka_settings, kafka_settings.workflow_results_topic) as reader:
            assert reader.waiting == 0


@pytest.mark.kafka_brokers("apache")
async def test_a_request_that_the_broker_refuses_fails_at_once_and_not_at_its_deadline(
    kafka_settings: KafkaSettings,
) -> None:
    # Given a client that takes more than its broker
    generous = kafka_settings.replace(max_message_bytes=5_000_000)
    async with AsyncWorkflowClient(generous) as client:
        # When a request is too large for the broker alone
        # Then it ends by that error, long before its deadline
        with pytest.raises(MessageTooLargeError, match=r"max\.message\.bytes"):
            await client.request("w", {"text": "x" * 2_000_000}, timeout=3600)
        with pytest.raises(MessageTooLargeError, match=r"max\.message\.bytes"):
            await client.gather("w", [{"text": "x" * 2_000_000}, {}], timeout=3600)


async def test_a_request_that_nobody_confirmed_by_the_deadline_may_or_may_not_have_arrived() -> None:
    # Given a broker that dies under the client
    with EmbeddedBroker() as broker:
        settings = settings_with_new_topics(broker.bootstrap_servers)
        async with AsyncWorkflowClient(settings) as client:
            broker.kill()
            # When a request is made
            # Then it ends at its deadline, and says that the request may have been stored
            with pytest.raises(DeliveryError, match="may still arrive"):
                await client.request("w", {}, timeout=1)


async def test_a_client_that_is_not_open_says_how_to_open_it(kafka_settings: KafkaSettings) -> None:
    with pytest.raises(WorkflowEventsError, match="async with"):
        await AsyncWorkflowClient(kafka_settings).request("w", {})


async def test_a_missing_result_topic_is_said_at_once(kafka_settings: KafkaSettings) -> None:
    elsewhere = kafka_settings.model_copy(update={"workflow_results_topic": "nobody-made-this"})
    with pytest.raises(TopicNotFoundError, match="nobody-made-this"):
        async with AsyncWorkflowClient(elsewhere):
            pass


async def test_no_broker_at_all_is_said_within_the_connect_timeout() -> None:
    settings = KafkaSettings(_env_file=None, bootstrap_servers=f"127.0.0.1:{free_port()}", connect_timeout=1)
    began = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match=settings.bootstrap_servers):
        async with AsyncWorkflowClient(settings):
            pass
    assert time.monotonic() - began < 10

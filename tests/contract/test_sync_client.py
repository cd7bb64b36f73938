"""Request and reply from threads, on every broker."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from workflow_events import (
    KafkaSettings,
    PendingRequest,
    ResultTimeoutError,
    TopicNotFoundError,
    WorkflowClient,
    WorkflowResultEvent,
    wire,
)
from workflow_events.progress.ending_early import LONG_AGO
from workflow_events.replies.sync_waits import SyncWaits
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.embedded import EmbeddedBroker
from workflow_events.testing.new_topics import settings_with_new_topics
from workflow_events.testing.waiting import wait_until
from workflow_events.transport import blocking


@pytest.fixture
def echoing(kafka_settings: KafkaSettings, respond: Any) -> Iterator[KafkaSettings]:
    """The settings of a broker where every request is answered, by a responder in a thread of its own."""
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with respond(kafka_settings):
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield kafka_settings
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """A thread for who waits beside the test."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_a_request_gets_its_own_answer(echoing: KafkaSettings) -> None:
    with WorkflowClient(echoing) as client:
        assert client.request("w", {"n": 1}, timeout=20).result == {"echo": {"n": 1}}
        assert client.request("w", {"n": 2}, timeout=20).result == {"echo": {"n": 2}}


def test_threads_share_one_client_and_each_gets_its_own(echoing: KafkaSettings) -> None:
    with WorkflowClient(echoing) as client, ThreadPoolExecutor(20) as pool:
        results = list(pool.map(lambda n: client.request("w", {"n": n}, timeout=60).result, range(100)))
    assert results == [{"echo": {"n": n}} for n in range(100)]


def test_results_that_were_there_before_are_found_in_any_order(echoing: KafkaSettings) -> None:
    # Given results of requests whose client is gone
    with WorkflowClient(echoing) as client:
        pending = [client.submit("w", {"n": n}, timeout=60) for n in range(30)]
        client.wait(pending[-1])
    # When they are waited for from the last to the first, written down and read again
    with WorkflowClient(echoing) as client:
        found = [client.wait(PendingRequest.from_json(request.to_json())).result for request in reversed(pending)]
    # Then each is found
    assert found == [{"echo": {"n": n}} for n in reversed(range(30))]


def test_a_wait_that_begins_after_the_deadline_finds_what_is_there_and_gives_up_on_what_is_not(
    echoing: KafkaSettings,
) -> None:
    with WorkflowClient(echoing) as client:
        pending = client.submit("w", {"n": 1}, timeout=30)
        client.wait(pending)
        long_ago = pending.model_copy(update={"deadline": pending.deadline.replace(year=2020)})
        assert client.wait(long_ago).result == {"echo": {"n": 1}}
        with pytest.raises(ResultTimeoutError):
            client.wait(long_ago.model_copy(update={"correlation_id": uuid4()}))


def test_nobody_answering_ends_at_the_deadline_in_words(kafka_settings: KafkaSettings) -> None:
    with WorkflowClient(kafka_settings) as client:
        pending = client.submit("w", {}, timeout=3)
        with pytest.raises(ResultTimeoutError) as caught:
            client.wait(pending)
        assert pending.remaining() > -5
    for said in (str(pending.correlation_id), kafka_settings.workflow_results_topic, "worker"):
        assert said in str(caught.value)


def test_a_missing_result_topic_is_said_at_once(kafka_settings: KafkaSettings) -> None:
    elsewhere = kafka_settings.model_copy(update={"workflow_results_topic": "nobody-made-this"})
    with WorkflowClient(elsewhere) as client, pytest.raises(TopicNotFoundError, match="nobody-made-this"):
        client.request("w", {}, timeout=20)


def test_a_closed_client_connects_anew(echoing: KafkaSettings) -> None:
    client = WorkflowClient(echoing)
    assert client.request("w", {"n": 1}, timeout=20).result == {"echo": {"n": 1}}
    client.close()
    assert client.request("w", {"n": 2}, timeout=20).result == {"echo": {"n": 2}}
    client.close()


def test_a_cursor_from_before_the_topic_was_made_anew_still_finds_the_result(
    echoing: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a client that is in use
    with WorkflowClient(echoing) as client:
        pending = client.submit("w", {"n": 1}, timeout=30)
        client.wait(pending)
        # When somebody waits from beyond the log's end
        beyond = pending.model_copy(update={"reply_cursor": dict.fromkeys(pending.reply_cursor, 1_000_000)})
        # Then the result is found and the oddity is said
        assert client.wait(beyond).result == {"echo": {"n": 1}}
    assert "made anew" in caplog.text


def test_a_waiter_ends_at_its_deadline_with_the_broker_gone_and_says_so() -> None:
    # Given a client that has asked, and a broker that is killed
    with EmbeddedBroker() as broker:
        settings = settings_with_new_topics(broker.bootstrap_servers)
        with WorkflowClient(settings) as client:
            pending = client.submit("w", {}, timeout=4)
            broker.kill()
            # When it waits
            with pytest.raises(ResultTimeoutError) as caught:
                client.wait(pending)
            # Then it ends in time
            assert -5 < pending.remaining() <= 0
    assert str(pending.correlation_id) in str(caught.value)


def test_who_waits_when_the_broker_dies_is_told_of_it_at_the_deadline(pool: ThreadPoolExecutor) -> None:
    # Given a wait that reads
    with ApacheKafka() as broker:
        settings = settings_with_new_topics(broker.bootstrap_servers)
        with WorkflowClient(settings) as client, contextlib.closing(SyncWaits(settings)) as waits:
            pending = client.submit("w", {}, timeout=5)
            waiting = pool.submit(waits.wait, pending)
            wait_until(lambda: waits.reader(pending.reply_topic).progress()[0], 5)
            # When the broker is killed
            broker.kill()
            # Then the error says what kept it from reading
            with pytest.raises(ResultTimeoutError, match=r"last error: Cannot read .*can reach the broker"):
                waiting.result()


def test_who_looks_at_what_is_there_does_not_wait_for_those_who_wait_for_what_is_to_come(
    kafka_settings: KafkaSettings, pool: ThreadPoolExecutor
) -> None:
    with WorkflowClient(kafka_settings) as client, contextlib.closing(SyncWaits(kafka_settings)) as waits:
        # Given a thread that waits, and so reads for all
        pending = client.submit("w", {"n": 1}, timeout=9)
        waiting = pool.submit(waits.wait, pending)
        wait_until(lambda: waits.reader(pending.reply_topic).progress()[0], 9)
        # When another one asks after its request's deadline
        with pytest.raises(ResultTimeoutError):
            waits.wait(client.submit("w", {}, timeout=9).model_copy(update={"deadline": LONG_AGO}))
        # Then it has its answer while the first one still waits
        assert not waiting.done()
        with closing_producer(kafka_settings) as producer:
            result = WorkflowResultEvent(
                correlation_id=pending.correlation_id, workflow_id="w", workflow_run_id="r", result={"n": 1}
            )
            blocking.send(producer, wire.result_message(result, topic=kafka_settings.workflow_results_topic), 30)
        assert waiting.result(90).result == {"n": 1}


def test_a_waiter_does_not_notice_a_broker_that_dies_and_comes_back() -> None:
    # Given a waiter in a thread of its own
    with ApacheKafka() as broker, ThreadPoolExecutor(1) as pool:
        settings = settings_with_new_topics(broker.bootstrap_servers)
        with WorkflowClient(settings) as client:
            pending = client.submit("w", {"n": 1}, timeout=100)
            waiting = pool.submit(client.wait, pending)
            # When the broker is killed and started again, and only then the answer comes
            broker.kill()
            broker.restart()
            with closing_producer(settings) as producer:
                result = WorkflowResultEvent(
                    correlation_id=pending.correlation_id, workflow_id="w", workflow_run_id="r", result={"n": 1}
                )
                blocking.send(producer, wire.result_message(result, topic=settings.workflow_results_topic), 30)
            # Then the waiter has it
            assert waiting.result(90).result == {"n": 1}


@contextlib.contextmanager
def closing_producer(settings: KafkaSettings) -> Iterator[blocking.Producer]:
    producer = blocking.new_producer(settings)
    try:
        yield producer
    finally:
        producer.close(timeout=10)

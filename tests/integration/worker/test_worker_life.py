"""A worker from its start to its stop: what it says of itself, what it cannot begin without, what it outlasts and hands back."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_integration import WorkflowWorker
from tests.integration.worker import graphs
from tests.integration.worker.graphs import Ledger, one_node
from tests.integration.worker.observing import (
    each_answered_once,
    eventually,
    everything_committed,
    lag,
    publish,
    quick,
    request,
    results,
)
from workflow_events import AsyncWorkflowClient, KafkaSettings, TopicNotFoundError
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.kafka_sources import Broker
from workflow_events.testing.new_topics import settings_with_new_topics


def ask_health(port: int, path: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


async def test_health_tells_life_and_readiness(embedded_broker: Broker, embedded_settings: KafkaSettings) -> None:
    worker = WorkflowWorker(
        embedded_settings, {"add": one_node(graphs.add)}, worker_settings=quick(embedded_broker, health_port=0)
    )
    async with worker.running():
        assert worker.health.port is not None
        alive = await asyncio.to_thread(ask_health, worker.health.port, "/healthz")
        ready = await asyncio.to_thread(ask_health, worker.health.port, "/readyz")
        lost = await asyncio.to_thread(ask_health, worker.health.port, "/")
        # A rebalance takes readiness away for as long as it takes.
        worker._held.assigned.clear()
        unready = await asyncio.to_thread(ask_health, worker.health.port, "/readyz")
        worker._held.assigned.set()
    assert alive == (200, {"status": "ok", "in_hand": 0})
    assert ready == (200, {"status": "ok", "partitions": 3, "in_hand": 0})
    assert lost[0] == 404
    assert unready == (503, {"status": "unavailable", "reason": "not a member of the consumer group at the moment"})
    assert worker.health.port is None


async def test_a_worker_without_its_topic_says_so(embedded_broker: Broker, embedded_settings: KafkaSettings) -> None:
    settings = embedded_settings.model_copy(update={"workflow_events_topic": f"missing-{uuid4().hex}"})
    worker = WorkflowWorker(settings, {"add": one_node(graphs.add)}, worker_settings=quick(embedded_broker))
    with pytest.raises(TopicNotFoundError, match="missing-"):
        await worker.run(handle_signals=False)


async def test_a_worker_whose_results_have_nowhere_to_go_stops_and_commits_nothing(
    embedded_broker: Broker, embedded_settings: KafkaSettings
) -> None:
    # Given a request, and a worker whose own results topic does not exist
    await publish(embedded_settings, request())
    settings = embedded_settings.model_copy(update={"workflow_results_topic": f"missing-{uuid4().hex}"})
    options = quick(embedded_broker)
    worker = WorkflowWorker(settings, {"add": one_node(graphs.add)}, worker_settings=options)
    # When it has run the request, then it stops with an error that names the topic
    with pytest.raises(TopicNotFoundError, match="missing-"):
        await worker.run(handle_signals=False)
    # And the request is there for a worker that can answer it
    assert await lag(embedded_settings, options.group_id) == 1


async def test_a_result_outlasts_an_outage_of_the_broker(apache_kafka: Broker, tmp_path: Path) -> None:
    # Given a broker of our own, and a worker on it with a run under way
    if not isinstance(apache_kafka, ApacheKafka):
        pytest.skip("the broker is stopped and started, and this run has one that is not ours")
    ledger = Ledger(tmp_path)
    with ApacheKafka() as broker:
        settings = settings_with_new_topics(broker.bootstrap_servers)
        options = quick(broker)
        worker = WorkflowWorker(settings, {"three": graphs.three_steps(ledger)}, worker_settings=options)
        async with worker.running(), AsyncWorkflowClient(settings) as client:
            pending = [await client.submit("three", {"n": n}, timeout=100) for n in range(5)]
            await eventually(lambda: len(ledger.lines(node="second", what="begin")) == 5)
            # When the broker is killed, and the runs end while it is away
            await asyncio.to_thread(broker.kill)
            ledger.open_gate("second")
            await eventually(lambda: len(ledger.lines(node="third", what="end")) == 5)
            await asyncio.to_thread(broker.restart)
            # Then their results arrive, and nothing has run twice
            answers = await asyncio.gather(*(client.wait(one) for one in pending))
            await everything_committed(settings, options.group_id)
    assert [answer.result for answer in answers] == [graphs.expected(n) for n in range(5)]
    assert len(ledger.lines(node="first", what="begin")) == 5


async def test_a_worker_that_stops_hands_back_what_it_had_not_begun(
    kafka_broker: Broker, kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    # Given a worker with two runs under way, which end in time, and more requests in hand
    ledger = Ledger(tmp_path)
    options = quick(kafka_broker, concurrency=2)
    served = {"three": graphs.three_steps(ledger)}
    asked: set[UUID] = set()
    async with AsyncWorkflowClient(kafka_settings) as client:
        async with WorkflowWorker(kafka_settings, served, worker_settings=options).running() as worker:
            pending = [await client.submit("three", {"n": n}, timeout=90) for n in range(20)]
            asked = {one.correlation_id for one in pending}
            await eventually(lambda: len(ledger.lines(node="second", what="begin")) == 2)
            # When it is stopped
            worker.stop()
            ledger.open_gate("second")
        # Then its two runs have ended, and it has begun no other
        assert len(ledger.lines(node="third", what="end")) == 2
        assert len(ledger.lines(node="first", what="begin")) == 2
        # And another worker answers the rest
        async with WorkflowWorker(kafka_settings, served, worker_settings=options).running():
            answers = await asyncio.gather(*(client.wait(one) for one in pending))
            await everything_committed(kafka_settings, options.group_id)
    assert [answer.result for answer in answers] == [graphs.expected(n) for n in range(20)]
    await each_answered_once(kafka_settings, asked)


async def test_a_worker_that_has_to_stop_hands_back_runs_that_do_not_end(
    kafka_broker: Broker, kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    # Given a worker whose runs wait in their second node
    ledger, saver = Ledger(tmp_path), InMemorySaver()
    options = quick(kafka_broker, drain_timeout=0.2)
    served = {"three": graphs.three_steps(ledger)}
    async with AsyncWorkflowClient(kafka_settings) as client:
        first = WorkflowWorker(kafka_settings, served, worker_settings=options, checkpointer=saver)
        async with first.running():
            pending = [await client.submit("three", {"n": n}, timeout=90) for n in range(10)]
            await eventually(lambda: len(ledger.lines(node="second", what="begin")) == 10)
        # When it was stopped, then it has answered none of them
        assert await results(kafka_settings) == []
        # When another worker comes with the same checkpoints, then it goes on where they were
        ledger.open_gate("second")
        second = WorkflowWorker(kafka_settings, served, worker_settings=options, checkpointer=saver)
        async with second.running():
            answers = await asyncio.gather(*(client.wait(one) for one in pending))
    assert [answer.result for answer in answers] == [graphs.expected(n) for n in range(10)]
    assert len(ledger.lines(node="first", what="begin")) == 10
    await each_answered_once(kafka_settings, {one.correlation_id for one in pending})

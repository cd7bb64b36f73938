"""Results and offsets in one transaction: on Apache Kafka, and what a worker does where there are none."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from langgraph_integration import WorkflowWorker
from tests.integration.worker import graphs
from tests.integration.worker.graphs import Ledger, State, expected, one_node
from tests.integration.worker.observing import (
    each_answered_once,
    eventually,
    everything_committed,
    producer,
    quick,
    records,
    results,
)
from workflow_events import AsyncWorkflowClient, KafkaSettings, ResultStatus, WorkflowResultEvent, wire
from workflow_events.requests import prepare_request
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.kafka_sources import Broker
from workflow_events.testing.new_topics import settings_with_new_topics
from workflow_events.testing.processes import ServerProcess
from workflow_events.topics import ensure_topics
from workflow_events.transport import aio
from workflow_events.transport.transactions import (
    TransactionAbortedError,
    TransactionalProducer,
    start_transactional_producer,
)

GRAPH = f"three={Path(__file__).parent / 'graphs.py'}:from_environment"

Start = Callable[[str], ServerProcess]


async def markers(settings: KafkaSettings) -> int:
    """How many offsets of the results topic no result has: each transaction has ended with a marker in each partition."""
    consumer = await aio.start_consumer(settings)
    try:
        asked = [TopicPartition(settings.workflow_results_topic, number) for number in range(settings.topic_partitions)]
        ends = await consumer.end_offsets(asked)
    finally:
        await consumer.stop()
    return int(sum(ends.values())) - len(await results(settings))


@pytest.fixture
def start_worker(apache_kafka: Broker, apache_settings: KafkaSettings, tmp_path: Path) -> Iterator[Start]:
    """Start ``workflow-worker`` processes of one group; each is ended at the end of the test."""
    options = quick(apache_kafka, concurrency=32)
    topics = ("workflow_events_topic", "workflow_results_topic", "workflow_progress_topic", "workflow_control_topic")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "WORKER_TEST_LEDGER": str(tmp_path),
        "KAFKA_BOOTSTRAP_SERVERS": apache_settings.bootstrap_servers,
        **{f"KAFKA_{name.upper()}": getattr(apache_settings, name) for name in topics},
        "WORKFLOW_WORKER_GROUP_ID": options.group_id,
        "WORKFLOW_WORKER_SESSION_TIMEOUT": str(options.session_timeout),
        "WORKFLOW_WORKER_CONCURRENCY": str(options.concurrency),
        "WORKFLOW_WORKER_CHECKPOINTER": f"sqlite:///{tmp_path / 'checkpoints.db'}",
    }
    with ExitStack() as stack:

        def start(name: str) -> ServerProcess:
            return stack.enter_context(
                ServerProcess(
                    name,
                    [sys.executable, "-m", "langgraph_integration", GRAPH],
                    log_file=tmp_path / f"{name}.log",
                    environment=environment,
                    directory=tmp_path,
                )
            )

        start.group_id = options.group_id  # type: ignore[attr-defined]
        yield start


async def test_each_request_has_one_committed_result_however_its_workers_are_killed(
    apache_settings: KafkaSettings, start_worker: Start, tmp_path: Path
) -> None:
    # Given many requests, and a seed for when to kill
    seed = int.from_bytes(os.urandom(4))
    chance, ledger = random.Random(seed), Ledger(tmp_path)
    ledger.open_gate("second")
    async with AsyncWorkflowClient(apache_settings) as client:
        pending = [await client.submit("three", {"n": n}, timeout=110) for n in range(200)]
        # When workers are killed while they answer, four times
        for turn in range(4):
            worker = start_worker(f"worker-{turn}")
            goal = len(ledger.lines(node="third", what="end")) + chance.randint(5, 35)
            done = partial(lambda goal: len(ledger.lines(node="third", what="end")) >= goal, goal)
            await eventually(done, timeout=60)
            worker.kill()
        start_worker("last")
        # Then every request has its right answer
        found = await asyncio.gather(*(client.wait(one) for one in pending))
    assert [one.result for one in found] == [expected(n) for n in range(200)], f"seed {seed}"
    # And just one, as far as who reads committed messages can see
    await everything_committed(apache_settings, start_worker.group_id)  # type: ignore[attr-defined]
    await each_answered_once(apache_settings, {one.correlation_id for one in pending})
    assert await markers(apache_settings) > 0


async def test_what_has_ended_above_an_unfinished_request_is_not_answered_again_by_the_next_worker(
    apache_kafka: Broker, apache_settings: KafkaSettings, tmp_path: Path
) -> None:
    # Given a worker without a checkpointer, a request in each partition that does not end, and more that do
    ledger, gate = Ledger(tmp_path), asyncio.Event()
    options = quick(apache_kafka, concurrency=40, drain_timeout=0.0)

    async def node(state: State) -> State:
        ledger.note(str(state["n"]), "node", "begin")
        if state["n"] < 0:
            await gate.wait()
        return {"n": state["n"]}

    served = {"node": one_node(node)}
    cursor = dict.fromkeys(range(apache_settings.topic_partitions), 0)
    asked = []
    async with producer(apache_settings) as plain:
        for n in [*[-1] * apache_settings.topic_partitions, *range(20)]:
            prepared = prepare_request(apache_settings, "node", {"n": n}, cursor=cursor, timeout=90, source="airflow")
            asked.append(prepared.pending)
            partition = len(asked) % apache_settings.topic_partitions
            await aio.send(
                plain,
                wire.OutgoingMessage(
                    prepared.message.topic,
                    prepared.message.value,
                    prepared.message.key,
                    prepared.message.headers,
                    partition,
                ),
            )
    # When it has answered those, and leaves
    async with WorkflowWorker(apache_settings, served, worker_settings=options).running():
        await eventually(lambda: len(ledger.lines()) >= len(asked))
        await eventually(lambda: _has_results(apache_settings, 20))
    # And another takes its place
    gate.set()
    async with WorkflowWorker(apache_settings, served, worker_settings=options).running():
        await eventually(lambda: _has_results(apache_settings, len(asked)))
        await everything_committed(apache_settings, options.group_id)
    # Then each is answered once, and what was answered has not run again
    await each_answered_once(apache_settings, {one.correlation_id for one in asked})
    assert sorted(int(n) for n, _, _ in ledger.lines() if int(n) >= 0) == list(range(20))


async def _has_results(settings: KafkaSettings, count: int) -> bool:
    return len(await results(settings)) >= count


async def test_one_refused_result_keeps_none_of_its_neighbours(
    apache_kafka: Broker, apache_settings: KafkaSettings
) -> None:
    # Given a reply topic that takes small messages only, which no client knows
    small = apache_settings.replace(workflow_results_topic=f"small-{uuid4().hex[:8]}", max_message_bytes=20_000)
    await asyncio.to_thread(ensure_topics, small)

    async def node(state: State) -> State:
        return {"n": state["n"], "other": "x" * (100_000 if state["n"] % 5 == 0 else 1)}

    options = quick(apache_kafka, concurrency=40)
    own = apache_settings.replace(workflow_results_topic=small.workflow_results_topic)
    async with (
        WorkflowWorker(apache_settings, {"node": one_node(node)}, worker_settings=options).running(),
        AsyncWorkflowClient(own) as client,
        AsyncWorkflowClient(apache_settings) as other,
    ):
        # When answers of both sizes are due there, and at another topic too
        answers = await asyncio.gather(*(client.request("node", {"n": n}, timeout=60) for n in range(20)))
        fine = await asyncio.gather(*(other.request("node", {"n": n}, timeout=60) for n in range(20)))
        await everything_committed(apache_settings, options.group_id)
    # Then those that are too large are told of, and the others are what they are
    assert [n for n, one in enumerate(answers) if one.status is ResultStatus.ERROR] == [0, 5, 10, 15]
    assert {one.status for one in fine} == {ResultStatus.SUCCESS}
    await each_answered_once(small, {one.correlation_id for one in answers})


async def test_a_broker_that_dies_in_mid_flight_neither_loses_nor_doubles_a_result(apache_kafka: Broker) -> None:
    # Given a broker of our own, and a worker on it under load
    if not isinstance(apache_kafka, ApacheKafka):
        pytest.skip("the broker is stopped and started, and this run has one that is not ours")
    with ApacheKafka() as broker:
        settings = settings_with_new_topics(broker.bootstrap_servers)
        options = quick(broker, session_timeout=30.0)
        worker = WorkflowWorker(settings, {"add": one_node(graphs.add)}, worker_settings=options)
        async with worker.running(), AsyncWorkflowClient(settings) as client:
            pending = [await client.submit("add", {"n": n}, timeout=100) for n in range(300)]
            await eventually(lambda: worker.counts["answered"] > 20)
            # When the broker is killed and comes back
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.restart)
            # Then each has its answer, once
            found = await asyncio.gather(*(client.wait(one) for one in pending))
            await everything_committed(settings, options.group_id)
        assert [one.result for one in found] == [{"n": n + 1} for n in range(300)]
        await each_answered_once(settings, {one.correlation_id for one in pending})
        assert await markers(settings) > 0


@asynccontextmanager
async def member(settings: KafkaSettings, group_id: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A member of the group that has partitions."""
    consumer = await aio.start_consumer(settings, settings.workflow_events_topic, group_id=group_id)
    try:
        await consumer.getmany(timeout_ms=0)
        await eventually(consumer.assignment)
        yield consumer
    finally:
        await consumer.stop()


async def answer_in_a_transaction(settings: KafkaSettings, consumer: Any, *, may_commit: bool = True) -> None:
    """A result, and offset 7 of one partition with metadata, by a producer that is abandoned if that fails."""
    answer = WorkflowResultEvent(correlation_id=uuid4(), workflow_id="w", workflow_run_id="r")
    message = wire.result_message(answer, topic=settings.workflow_results_topic)
    transactional = await begin(settings)
    offsets = {TopicPartition(settings.workflow_events_topic, 0): (7, "marks")}
    try:
        await transactional.transact([message], offsets, consumer, may_commit=lambda: may_commit, patience=20)
    except BaseException:
        await transactional.abandon()
        transactional = await begin(settings)  # ends what the first has left open
        raise
    finally:
        await transactional.stop()


async def begin(settings: KafkaSettings) -> TransactionalProducer:
    name = f"id-of-{settings.workflow_events_topic}"
    return await start_transactional_producer(settings, name, transaction_timeout=30, patience=20)


async def test_a_result_and_its_offset_are_committed_together_or_not_at_all(apache_settings: KafkaSettings) -> None:
    group_id, partition = f"group-{uuid4()}", TopicPartition(apache_settings.workflow_events_topic, 0)
    async with member(apache_settings, group_id) as consumer:
        # When a transaction is not to be committed, after all of it was sent
        with pytest.raises(TransactionAbortedError):
            await answer_in_a_transaction(apache_settings, consumer, may_commit=False)
        # Then there is neither the result nor the offset
        assert await results(apache_settings) == []
        assert await aio.committed_with_metadata(consumer, [partition]) == {}
        # When another is, then there are both
        await answer_in_a_transaction(apache_settings, consumer)
        assert len(await results(apache_settings)) == 1

        async def committed() -> Any:
            return (await aio.committed_with_metadata(consumer, [partition])).get(partition)

        assert await eventually(committed) == (7, "marks")


async def test_a_member_that_the_group_has_gone_on_without_can_commit_neither(apache_settings: KafkaSettings) -> None:
    group_id, partition = f"group-{uuid4()}", TopicPartition(apache_settings.workflow_events_topic, 0)
    async with member(apache_settings, group_id) as one:
        group = one._coordinator
        frozen = SimpleNamespace(
            _coordinator=SimpleNamespace(group_id=group_id, generation=group.generation, member_id=group.member_id)
        )
        # Given a member that knows its group as it was before another joined
        async with member(apache_settings, group_id) as other:
            await eventually(lambda: group.generation > frozen._coordinator.generation)
            # When it answers
            with pytest.raises(TransactionAbortedError, match="IllegalGeneration"):
                await answer_in_a_transaction(apache_settings, frozen)
            # Then nobody sees its result, and the group's offsets are what they were
            assert await results(apache_settings) == []
            assert await aio.committed_with_metadata(other, [partition]) == {}


@pytest.mark.parametrize("wanted", [True, False])
async def test_without_transactions_the_result_goes_first_and_the_offset_after_it(
    embedded_broker: Broker,
    embedded_settings: KafkaSettings,
    caplog: pytest.LogCaptureFixture,
    wanted: bool,  # noqa: FBT001
) -> None:
    # Given a broker without transactions, and a worker that would use them, or would not
    options = quick(embedded_broker, transactions=wanted)
    with caplog.at_level(logging.INFO):
        worker = WorkflowWorker(embedded_settings, {"add": one_node(graphs.add)}, worker_settings=options)
        async with worker.running(), AsyncWorkflowClient(embedded_settings) as client:
            # When it is asked
            answer = await client.request("add", {"n": 1}, timeout=30)
            # Then it answers all the same
            assert answer.result == {"n": 2}
            await everything_committed(embedded_settings, options.group_id)
    await each_answered_once(embedded_settings, {answer.correlation_id})
    # And one line says so, where it was wanted
    said = [record for record in caplog.records if "has no transactions" in record.getMessage()]
    assert [record.levelno for record in said] == ([logging.INFO] if wanted else [])


async def test_a_worker_that_is_told_so_uses_no_transactions(
    apache_kafka: Broker, apache_settings: KafkaSettings
) -> None:
    options = quick(apache_kafka, transactions=False)
    worker = WorkflowWorker(apache_settings, {"add": one_node(graphs.add)}, worker_settings=options)
    async with worker.running(), AsyncWorkflowClient(apache_settings) as client:
        assert (await client.request("add", {"n": 1}, timeout=30)).result == {"n": 2}
    assert await markers(apache_settings) == 0
    assert len(await records(apache_settings, apache_settings.workflow_results_topic)) == 1

"""A request that kills its worker is given up, and those that ran beside it are not.

On Apache Kafka: the embedded broker keeps no metadata with committed offsets, and the count of crashes is kept there.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from langgraph_integration import WorkflowWorker
from tests.integration.worker.graphs import Ledger, three_steps
from tests.integration.worker.observing import (
    eventually,
    everything_committed,
    quick,
    records,
    results,
)
from workflow_events import AsyncWorkflowClient, KafkaSettings, ResultStatus
from workflow_events.dead_letters import DeadLetter, read_letters
from workflow_events.testing.kafka_sources import Broker
from workflow_events.testing.processes import ServerProcess
from workflow_events.transport import aio

GRAPH = f"deadly={Path(__file__).parent / 'graphs.py'}:killing_from_environment"
MAX_CRASHES = 3

Start = Callable[[], ServerProcess]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


@pytest.fixture
def start_worker(
    apache_kafka: Broker, apache_settings: KafkaSettings, ledger: Ledger, tmp_path: Path
) -> Iterator[Start]:
    """Start workers of one group, as somebody does who starts again what has died."""
    options = quick(apache_kafka)
    topics = ("workflow_events_topic", "workflow_results_topic", "workflow_progress_topic", "workflow_control_topic")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "WORKER_TEST_LEDGER": str(ledger.folder),
        "KAFKA_BOOTSTRAP_SERVERS": apache_settings.bootstrap_servers,
        **{f"KAFKA_{name.upper()}": getattr(apache_settings, name) for name in topics},
        "WORKFLOW_WORKER_GROUP_ID": options.group_id,
        "WORKFLOW_WORKER_SESSION_TIMEOUT": str(options.session_timeout),
        "WORKFLOW_WORKER_MAX_CRASHES": str(MAX_CRASHES),
    }
    with ExitStack() as stack:
        started: list[ServerProcess] = []

        def start() -> ServerProcess:
            name = f"worker-{len(started)}"
            process = ServerProcess(
                name,
                [sys.executable, "-m", "langgraph_integration", GRAPH],
                log_file=tmp_path / f"{name}.log",
                environment=environment,
                directory=tmp_path,
            )
            started.append(stack.enter_context(process))
            return process

        start.group_id = options.group_id  # type: ignore[attr-defined]
        yield start


def ended(told: asyncio.Task[Any], process: ServerProcess) -> bool:
    assert process._process is not None
    return told.done() or process._process.poll() is not None


def has_begun(ledger: Ledger, at_least: int) -> bool:
    return len(ledger.lines(node="second", what="begin")) >= at_least


async def letters(settings: KafkaSettings) -> list[DeadLetter]:
    return read_letters(await records(settings, settings.dead_letter_topic(settings.workflow_events_topic)))


async def test_who_takes_up_what_nobody_has_held_says_so_before_anything_runs(
    kafka_broker: Broker, kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    # Given a group that is new, so that there is nothing committed and nobody who could have died
    options = quick(kafka_broker)
    worker = WorkflowWorker(kafka_settings, {"three": three_steps(Ledger(tmp_path))}, worker_settings=options)
    consumer = await aio.start_consumer(kafka_settings, group_id=options.group_id)
    try:
        # When a worker has joined it, and has had no request yet
        async with worker.running():
            topic = kafka_settings.workflow_events_topic
            partitions = [TopicPartition(topic, number) for number in range(kafka_settings.topic_partitions)]
            found = await aio.committed_with_metadata(consumer, partitions)
            # Then it has committed, once for all: no start has to be stored before its run begins
            assert {partition: at.offset for partition, at in found.items()} == dict.fromkeys(partitions, 0)
            assert not any(held.marks.wary for held in worker._held._held.values())
    finally:
        await consumer.stop()


@pytest.mark.slow
async def test_a_request_that_kills_its_workers_is_given_up_and_its_neighbours_are_answered(
    apache_settings: KafkaSettings, start_worker: Start, ledger: Ledger
) -> None:
    # Given a request that kills whoever runs it, and others beside it
    async with AsyncWorkflowClient(apache_settings) as client:
        good = [await client.submit("deadly", {"n": n}, timeout=110) for n in range(6)]
        bad = await client.submit("deadly", {"n": -1}, timeout=110)
        good += [await client.submit("deadly", {"n": n}, timeout=110) for n in range(6, 12)]
        # When workers are started as often as they die
        told = asyncio.create_task(client.wait(bad))
        workers = 0
        while not told.done():
            workers += 1
            worker = start_worker()
            await eventually(partial(ended, told, worker), timeout=60)
            if workers == MAX_CRASHES - 1:
                # All that ran in two dead workers are suspects now: they run one at a time, and the others may end.
                ledger.open_gate("kill")
        # Then the requester is told, with an error type of its own
        answer = await told
        assert answer.status is ResultStatus.ERROR
        assert answer.error_detail is not None
        assert (answer.error_detail.type, answer.error_detail.retryable) == ("PoisonedRequest", False)
        # And it has crashed as many workers as it may; the first crash can come before its start is stored
        deaths = Counter(who for who, _, _ in ledger.lines(node="run", what="begin"))[str(bad.correlation_id)]
        assert MAX_CRASHES <= deaths <= MAX_CRASHES + 1
        assert workers == deaths + 1
        # And all others are answered
        answers = await asyncio.gather(*(client.wait(one) for one in good))
    assert [one.raise_for_status().result for one in answers] == [{"n": n} for n in range(12)]
    # And it lies among the dead letters, alone
    [letter] = await letters(apache_settings)
    assert (letter.code, letter.correlation_id) == ("poison", bad.correlation_id)
    # Some good ones ended before a crash and lay behind the bad one: those are answered again, and no differently.
    said = {(one.correlation_id, one.status) for one in await results(apache_settings)}
    assert said == {(one.correlation_id, ResultStatus.SUCCESS) for one in good} | {
        (bad.correlation_id, ResultStatus.ERROR)
    }
    await everything_committed(apache_settings, start_worker.group_id)  # type: ignore[attr-defined]


async def test_a_worker_that_is_stopped_or_joined_charges_nobody_with_a_crash(
    embedded_broker: Broker, embedded_settings: KafkaSettings, tmp_path: Path
) -> None:
    # Given requests that are handed back each time their worker stops, more often than they may crash one
    ledger = Ledger(tmp_path)
    options = quick(embedded_broker, drain_timeout=0.0, max_crashes=1)
    served = {"three": three_steps(ledger)}
    async with AsyncWorkflowClient(embedded_settings) as client:
        pending = [await client.submit("three", {"n": n}, timeout=100) for n in range(5)]
        for turn in range(1, 4):
            async with WorkflowWorker(embedded_settings, served, worker_settings=options).running():
                await eventually(partial(has_begun, ledger, 5 * turn))
        # When they may end
        ledger.open_gate("second")
        async with WorkflowWorker(embedded_settings, served, worker_settings=options).running():
            answers = await asyncio.gather(*(client.wait(one) for one in pending))
    # Then they are answered, and none is a dead letter
    assert {one.status for one in answers} == {ResultStatus.SUCCESS}
    assert await letters(embedded_settings) == []

"""Workers as processes: killed, stopped, joined and left, with runs under way."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.integration.worker.graphs import Ledger, expected
from tests.integration.worker.observing import each_answered_once, eventually, everything_committed, quick, results
from workflow_events import AsyncWorkflowClient, KafkaSettings, PendingRequest, ResultStatus
from workflow_events.testing.kafka_sources import Broker
from workflow_events.testing.postgres import PostgresServer
from workflow_events.testing.processes import ServerProcess

GRAPH = f"three={Path(__file__).parent / 'graphs.py'}:from_environment"

Start = Callable[..., ServerProcess]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


@pytest.fixture
def start_worker(
    kafka_broker: Broker, kafka_settings: KafkaSettings, ledger: Ledger, tmp_path: Path
) -> Iterator[Start]:
    """Start ``workflow-worker`` processes of one group; each is ended at the end of the test."""
    options = quick(kafka_broker, concurrency=32)
    topics = ("workflow_events_topic", "workflow_results_topic", "workflow_progress_topic", "workflow_control_topic")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "WORKER_TEST_LEDGER": str(ledger.folder),
        "KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        **{f"KAFKA_{name.upper()}": getattr(kafka_settings, name) for name in topics},
        "WORKFLOW_WORKER_GROUP_ID": options.group_id,
        "WORKFLOW_WORKER_SESSION_TIMEOUT": str(options.session_timeout),
        "WORKFLOW_WORKER_CONCURRENCY": str(options.concurrency),
        "WORKFLOW_WORKER_CHECKPOINTER": f"sqlite:///{tmp_path / 'checkpoints.db'}",
    }
    with ExitStack() as stack:

        def start(name: str = "worker", **changes: str) -> ServerProcess:
            process = ServerProcess(
                name,
                [sys.executable, "-m", "langgraph_integration", GRAPH],
                log_file=tmp_path / f"{name}.log",
                environment={**environment, **changes},
                directory=tmp_path,
            )
            stack.enter_context(process)
            return process

        start.group_id = options.group_id  # type: ignore[attr-defined]
        yield start


def logged(process: ServerProcess, text: str) -> Callable[[], bool]:
    return lambda: text in process.log_text()


def holds_all_partitions(process: ServerProcess, topic: str, count: int) -> bool:
    """Whether the last that a worker said of its partitions is that it has been assigned all of them."""
    said = [
        line
        for line in process.log_text().splitlines()
        if "Partitions assigned" in line or "Partitions revoked" in line
    ]
    return "Partitions assigned" in said[-1] and all(f"{topic}-{number}" in said[-1] for number in range(count))


def has_lines(ledger: Ledger, count: int) -> bool:
    return len(ledger.lines()) >= count


async def ask(client: AsyncWorkflowClient, count: int) -> list[PendingRequest]:
    return [await client.submit("three", {"n": n}, timeout=110) for n in range(count)]


async def answers(client: AsyncWorkflowClient, pending: list[PendingRequest]) -> list[dict[str, Any]]:
    found = await asyncio.gather(*(client.wait(one) for one in pending))
    return [one.raise_for_status().result for one in found]


def ids(pending: list[PendingRequest]) -> set[UUID]:
    return {one.correlation_id for one in pending}


def assert_nothing_that_was_stored_ran_again(ledger: Ledger) -> None:
    """A node's end is stored before the next node begins; so once that has begun, the node must not run again."""
    steps = ["first", "second", "third"]
    begun: dict[str, set[str]] = {}
    for who, node, what in ledger.lines():
        if what == "begin":
            later = steps[steps.index(node) + 1 :]
            assert begun.setdefault(who, set()).isdisjoint(later), f"{node} ran again for {who} after {later} had begun"
            begun[who].add(node)


@pytest.fixture(params=["sqlite", "postgresql"])
def checkpointer(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'checkpoints.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    dsn: str = server.create_database(f"worker_{os.urandom(4).hex()}")
    return dsn


async def test_a_worker_killed_in_mid_run_loses_no_request_and_no_finished_node(
    kafka_settings: KafkaSettings, start_worker: Start, ledger: Ledger, checkpointer: str
) -> None:
    # Given a worker with twenty runs in their second node
    first = start_worker("first", WORKFLOW_WORKER_CHECKPOINTER=checkpointer)
    async with AsyncWorkflowClient(kafka_settings) as client:
        pending = await ask(client, 20)
        await eventually(lambda: len(ledger.lines(node="second", what="begin")) == 20, timeout=60)
        # When it is killed, and another is started
        first.kill()
        ledger.open_gate("second")
        start_worker("second", WORKFLOW_WORKER_CHECKPOINTER=checkpointer)
        # Then every request has its right answer
        assert await answers(client, pending) == [expected(n) for n in range(20)]
    # And the node that had finished did not run again, for any of them
    assert len(ledger.lines(node="first", what="begin")) == 20
    assert len(ledger.lines(node="second", what="end")) == 20
    assert len(ledger.lines(node="third", what="end")) == 20
    await each_answered_once(kafka_settings, ids(pending))
    await everything_committed(kafka_settings, start_worker.group_id)  # type: ignore[attr-defined]


async def test_workers_killed_at_any_moment_lose_nothing(
    kafka_settings: KafkaSettings, start_worker: Start, ledger: Ledger
) -> None:
    # Given many requests, and a seed for when to kill
    seed = int.from_bytes(os.urandom(4))
    chance = random.Random(seed)
    ledger.open_gate("second")
    async with AsyncWorkflowClient(kafka_settings) as client:
        pending = await ask(client, 150)
        # When workers are killed while they are at work, three times
        for turn in range(3):
            worker = start_worker(f"worker-{turn}")
            at_work = partial(has_lines, ledger, len(ledger.lines()) + chance.randint(20, 120))
            await eventually(at_work, timeout=60)
            worker.kill()
        start_worker("last")
        # Then every request has its right answer, and what was stored did not run again
        assert await answers(client, pending) == [expected(n) for n in range(150)], f"seed {seed}"
    assert_nothing_that_was_stored_ran_again(ledger)
    assert {result.correlation_id for result in await results(kafka_settings)} == ids(pending)


async def test_sigterm_lets_steps_end_and_hands_the_runs_over_between_two(
    kafka_settings: KafkaSettings, start_worker: Start, ledger: Ledger
) -> None:
    # Given a worker with runs under way in their second node
    worker = start_worker()
    async with AsyncWorkflowClient(kafka_settings) as client:
        pending = await ask(client, 5)
        await eventually(lambda: len(ledger.lines(node="second", what="begin")) == 5, timeout=60)
        # When it is told to stop, and the nodes end
        os.kill(worker.pid, signal.SIGTERM)
        await eventually(logged(worker, "Worker draining"))
        ledger.open_gate("second")
        # Then it ends with exit code 0, and has begun no further node
        assert worker._process is not None
        assert await asyncio.to_thread(worker._process.wait, 20) == 0
        assert len(ledger.lines(node="second", what="end")) == 5
        assert ledger.lines(node="third") == []
        # And another goes on where it was, and runs no node again
        another = start_worker("another")
        assert await answers(client, pending) == [expected(n) for n in range(5)]
    assert len(ledger.lines(what="begin")) == 3 * 5
    await everything_committed(kafka_settings, start_worker.group_id)  # type: ignore[attr-defined]
    await each_answered_once(kafka_settings, ids(pending))
    # And each line of their logs is JSON, and those of a request carry its id
    lines = [json.loads(line) for one in (worker, another) for line in one.log_text().splitlines()]
    for said in ("is handed over at its checkpoint", "answered: success"):
        assert {line["correlation_id"] for line in lines if said in line["event"]} == {str(one) for one in ids(pending)}


async def test_a_second_signal_hands_back_at_once(
    kafka_settings: KafkaSettings, start_worker: Start, ledger: Ledger
) -> None:
    worker = start_worker(WORKFLOW_WORKER_DRAIN_TIMEOUT="600")
    async with AsyncWorkflowClient(kafka_settings) as client:
        pending = await ask(client, 3)
        await eventually(lambda: len(ledger.lines(node="second", what="begin")) == 3, timeout=60)
        os.kill(worker.pid, signal.SIGINT)
        await eventually(logged(worker, "Worker draining"))
        os.kill(worker.pid, signal.SIGINT)
        assert worker._process is not None
        assert await asyncio.to_thread(worker._process.wait, 20) == 0
        ledger.open_gate("second")
        start_worker("another")
        assert await answers(client, pending) == [expected(n) for n in range(3)]
    await each_answered_once(kafka_settings, ids(pending))


async def test_workers_that_join_and_leave_lose_nothing_and_answer_nothing_twice(
    kafka_settings: KafkaSettings, start_worker: Start, ledger: Ledger
) -> None:
    # Given a worker with runs that will not end before the group is rebalanced
    impatient = {
        "WORKFLOW_WORKER_REBALANCE_TIMEOUT": "0.5",
        "WORKFLOW_WORKER_DRAIN_TIMEOUT": "0.5",
        "WORKFLOW_WORKER_CONCURRENCY": "40",  # whichever partitions the requests are in, nobody waits for a slot
    }
    first = start_worker("first", **impatient)
    async with AsyncWorkflowClient(kafka_settings) as client:
        pending = await ask(client, 20)
        await eventually(lambda: len(ledger.lines(node="second", what="begin")) == 20, timeout=60)
        # When a second joins
        second = start_worker("second", **impatient)
        await eventually(logged(second, "Partitions assigned"), timeout=60)
        await eventually(logged(first, "Partitions revoked"))
        pending += await ask(client, 20)
        # And leaves again while it has runs under way
        await eventually(lambda: len(ledger.lines(node="first", what="begin")) >= 40, timeout=60)
        os.kill(second.pid, signal.SIGTERM)
        assert second._process is not None
        assert await asyncio.to_thread(second._process.wait, 30) == 0
        # And the first has all partitions again. What it ended while it gave them back, above what had not ended, would be
        # delivered to it anew, and published again.
        topic, partitions = kafka_settings.workflow_events_topic, kafka_settings.topic_partitions
        await eventually(lambda: holds_all_partitions(first, topic, partitions), timeout=60)
        ledger.open_gate("second")
        # Then all are answered
        found = await answers(client, pending)
        assert found == [expected(n) for n in (*range(20), *range(20))]
    # And once, and nothing that was stored ran again
    await each_answered_once(kafka_settings, ids(pending))
    assert_nothing_that_was_stored_ran_again(ledger)
    assert len(ledger.lines(node="third", what="end")) == 40
    await everything_committed(kafka_settings, start_worker.group_id)  # type: ignore[attr-defined]


async def test_a_worker_that_was_frozen_finds_its_requests_answered_and_works_on(
    kafka_settings: KafkaSettings, start_worker: Start, ledger: Ledger
) -> None:
    # Given a worker that freezes with runs under way, until the group takes it for dead
    frozen = start_worker("frozen")
    async with AsyncWorkflowClient(kafka_settings) as client:
        pending = await ask(client, 10)
        await eventually(lambda: len(ledger.lines(node="second", what="begin")) == 10, timeout=60)
        os.kill(frozen.pid, signal.SIGSTOP)
        # When another answers its requests
        other = start_worker("other")
        await eventually(logged(other, "Partitions assigned"), timeout=60)
        ledger.open_gate("second")
        assert await answers(client, pending) == [expected(n) for n in range(10)]
        # And it thaws, and is the only one again
        os.kill(frozen.pid, signal.SIGCONT)
        await eventually(logged(frozen, "Partitions revoked"), timeout=60)
        other.kill()
        # Then it works on, and the group's offsets are right
        assert await answers(client, await ask(client, 10)) == [expected(n) for n in range(10)]
    await everything_committed(kafka_settings, start_worker.group_id)  # type: ignore[attr-defined]
    assert {result.status for result in await results(kafka_settings)} == {ResultStatus.SUCCESS}

"""A worker that is cut off from its brokers, while its database is still at hand and another worker takes its work."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.worker.graphs import Ledger, expected
from tests.integration.worker.observing import each_answered_once, eventually, everything_committed
from workflow_events import AsyncWorkflowClient, KafkaSettings
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.new_topics import settings_with_new_topics
from workflow_events.testing.plugin import _had
from workflow_events.testing.processes import LOOPBACK, ServerProcess, free_port
from workflow_events.testing.tcp_proxy import TcpProxy

GRAPH = f"three={Path(__file__).with_name('graphs.py')}:from_environment"
TOPICS = ("workflow_events_topic", "workflow_results_topic", "workflow_progress_topic", "workflow_control_topic")
REQUESTS = 6


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def worker(name: str, settings: KafkaSettings, bootstrap_servers: str, ledger: Ledger, **changes: str) -> ServerProcess:
    return ServerProcess(
        name,
        [sys.executable, "-m", "langgraph_integration", GRAPH],
        log_file=ledger.folder / f"{name}.log",
        environment={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "WORKER_TEST_LEDGER": str(ledger.folder),
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            **{f"KAFKA_{topic.upper()}": getattr(settings, topic) for topic in TOPICS},
            "WORKFLOW_WORKER_SESSION_TIMEOUT": "6",
            "WORKFLOW_WORKER_CHECKPOINTER": f"sqlite:///{ledger.folder / 'checkpoints.db'}",
            **changes,
        },
        directory=ledger.folder,
    )


async def test_runs_of_a_worker_that_is_cut_off_stop_before_another_worker_has_them(
    stack: ExitStack, tmp_path: Path
) -> None:
    # Given two workers, the first of which has runs under way, over a network of its own
    ports = {1: free_port()}
    kafka = _had(stack, lambda: ApacheKafka(networks=[ports]))
    network = stack.enter_context(TcpProxy(ports[1], kafka.port_behind(1)))
    settings, ledger = settings_with_new_topics(kafka.bootstrap_servers), Ledger(tmp_path)
    first = stack.enter_context(worker("first", settings, f"{LOOPBACK}:{ports[1]}", ledger))
    async with AsyncWorkflowClient(settings) as client:
        pending = [await client.submit("three", {"n": n}, timeout=100) for n in range(REQUESTS)]
        await eventually(lambda: len(ledger.lines(node="second", what="begin")) == REQUESTS, timeout=60)
        # When the first is cut off
        network.cut()
        stack.enter_context(worker("other", settings, kafka.bootstrap_servers, ledger))
        # Then the other has the runs
        await eventually(lambda: len(ledger.lines(node="second", what="begin")) == 2 * REQUESTS, timeout=60)
        # And the first has stopped them by then
        assert f"{REQUESTS} requests handed back" in first.log_text()
        ledger.open_gate("second")
        found = [(await client.wait(one)).raise_for_status().result for one in pending]
        assert found == [expected(n) for n in range(REQUESTS)]
        # And each node came to its end once
        for node in ("first", "second", "third"):
            assert len(ledger.lines(node=node, what="end")) == REQUESTS
        # And once the network is back, the first is told, and works on
        network.mend()
        await eventually(lambda: first.log_text().count("Partitions assigned") == 2, timeout=60)
        assert first.is_running
    await each_answered_once(settings, {one.correlation_id for one in pending})
    await everything_committed(settings, "langgraph-workers")


async def test_a_worker_takes_its_runs_up_again_where_the_group_has_waited_for_it(
    stack: ExitStack, tmp_path: Path
) -> None:
    # Given a worker with runs under way, whose group forgets nobody for a minute
    ports = {1: free_port()}
    kafka = _had(stack, lambda: ApacheKafka(networks=[ports]))
    network = stack.enter_context(TcpProxy(ports[1], kafka.port_behind(1)))
    settings, ledger = settings_with_new_topics(kafka.bootstrap_servers), Ledger(tmp_path)
    alone = stack.enter_context(worker("alone", settings, f"{LOOPBACK}:{ports[1]}", ledger))
    async with AsyncWorkflowClient(settings) as client:
        pending = [await client.submit("three", {"n": n}, timeout=100) for n in range(REQUESTS)]
        await eventually(lambda: len(ledger.lines(node="second", what="begin")) == REQUESTS, timeout=60)
        # When it is cut off until it has handed them back, and nobody is there to take them
        network.cut()
        await eventually(lambda: f"{REQUESTS} requests handed back" in alone.log_text(), timeout=60)
        ledger.open_gate("second")
        network.mend()
        # Then it answers all of them after all
        found = [(await client.wait(one)).raise_for_status().result for one in pending]
        assert found == [expected(n) for n in range(REQUESTS)]
        for node in ("first", "second", "third"):
            assert len(ledger.lines(node=node, what="end")) == REQUESTS
    await everything_committed(settings, "langgraph-workers")

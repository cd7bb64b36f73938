"""The parts of a chaos session: three brokers behind proxies, PostgreSQL, workers and a requester, each a process of its own."""

from __future__ import annotations

import os
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.chaos import requester
from tests.chaos.graph import LEDGER
from tests.chaos.ledger import Ledger
from tests.chaos.stored import prepare
from workflow_events import KafkaSettings, WorkflowEventsError
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.postgres import PostgresServer
from workflow_events.testing.processes import LOOPBACK, ServerProcess, free_port
from workflow_events.testing.tcp_proxy import TcpProxy
from workflow_events.testing.waiting import wait_until
from workflow_events.topics import ensure_topics
from workflow_events.transport import blocking

__all__ = ["BROKERS", "Parts", "Supervised"]

BROKERS = 3
_ROOT = Path(__file__).parents[2]
_GRAPH = f"chaos={Path(__file__).with_name('graph.py')}:from_environment"
_SESSION_TIMEOUT = 6.0  # seconds; the least that Kafka's brokers take


class Supervised:
    """A process that is started again when it ends, as by Kubernetes or systemd.

    Attributes:
        ended_by_itself: how often it has ended without being killed here.
    """

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.ended_by_itself = 0
        self._lock = threading.Lock()

    def kill(self, hold: float, stop: threading.Event) -> str:
        """Kill it, start it again after ``hold`` seconds (sooner where ``stop`` is set), and say what was killed."""
        with self._lock:
            told = f"{self.server.name}, process {self.server.pid}"
            self.server.kill()
            stop.wait(hold)
            self.server.start()
        return told

    def look_after(self) -> None:
        """Start it again if it has ended."""
        if not self._lock.acquire(blocking=False):
            return  # it is being killed
        try:
            if not self.server.is_running:
                self.ended_by_itself += 1
                self.server.kill()
                self.server.start()
        finally:
            self._lock.release()


class Parts:
    """All parts, started on entry and ended on exit.

    Args:
        folder: for the ledger and the logs.
        seed: makes the ids of the requests, together with nothing else: the same seed asks under the same ids.
        requests: how many the requester asks.
        per_second: how many it asks in a second.
        timeout: seconds from a request to its deadline.
        workers: how many.

    Attributes:
        namespace: of the requests' ids.
        settings: for whoever reaches the brokers directly.
        proxies: what stands between a worker and a broker, by the numbers of both.
    """

    def __init__(
        self, folder: Path, *, seed: int, requests: int, per_second: float, timeout: float, workers: int
    ) -> None:
        self.folder = folder
        self.namespace = uuid.uuid5(uuid.NAMESPACE_OID, f"chaos {seed}")
        self.ledger = Ledger(folder / "ledger.db")
        # A network for each worker, so that one can be cut off while the others go on.
        self._ports = [{node: free_port() for node in range(1, BROKERS + 1)} for _ in range(workers)]
        self._stack = ExitStack()
        self._asks = {
            requester.REQUESTS: str(requests),
            requester.PER_SECOND: str(per_second),
            requester.TIMEOUT: str(timeout),
            requester.NAMESPACE: str(self.namespace),
        }
        self._worker_count = workers

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            with ThreadPoolExecutor(2) as pool:
                database = pool.submit(self._start_database, stack)
                self.kafka = stack.enter_context(ApacheKafka(BROKERS, networks=self._ports))
                self.database = database.result()
            self.proxies = {
                (worker, node): stack.enter_context(TcpProxy(port, self.kafka.port_behind(node, worker)))
                for worker, ports in enumerate(self._ports)
                for node, port in ports.items()
            }
            self.settings = KafkaSettings(
                _env_file=None,
                bootstrap_servers=self.kafka.bootstrap_servers,
                topic_replication_factor=BROKERS,
                topic_min_insync_replicas=2,
            )
            ensure_topics(self.settings)
            self.workers = [
                Supervised(stack.enter_context(self._worker(number))) for number in range(self._worker_count)
            ]
            self.requester = Supervised(self._requester())
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for proxy in self.proxies.values():
            proxy.mend()
        for one in (self.requester, *self.workers):
            one.server.kill()  # at once: there is nothing left to drain
        self._stack.close()

    def start_asking(self) -> None:
        """Start the requester."""
        self._stack.enter_context(self.requester.server)

    def leader_of(self, topic: str, partition: int) -> int:
        """The node that leads a partition now."""
        return wait_until(lambda: self._leaders(topic).get(partition, 0), 60, interval=0.2, what=f"a leader of {topic}")

    def wait_until_whole(self, timeout: float = 90.0) -> None:
        """Wait until every partition is on all brokers again.

        Raises:
            TimeoutError: not within ``timeout`` seconds.
        """
        wait_until(self._is_whole, timeout, interval=0.5, what="all replicas in sync")

    def _leaders(self, topic: str) -> dict[int, int]:
        return {
            one["partition_index"]: one["leader_id"]
            for one in self._partitions()
            if one["topic"] == topic and one["leader_id"] > 0
        }

    def _is_whole(self) -> bool:
        found = self._partitions()
        return bool(found) and all(len(one["isr_nodes"]) == len(one["replica_nodes"]) for one in found)

    def _partitions(self) -> list[dict[str, Any]]:
        """What the cluster says of all partitions, its own topics' among them; nothing while it cannot say."""
        try:
            with closing(blocking.new_admin(self.settings)) as admin, blocking.map_errors(self.settings, "describe"):
                return [
                    {**partition, "topic": topic["name"]}
                    for topic in admin.describe_topics()
                    for partition in topic["partitions"]
                ]
        except WorkflowEventsError:
            return []

    def _start_database(self, stack: ExitStack) -> str:
        server = stack.enter_context(PostgresServer())
        self.postgres = server
        dsn = server.create_database("checkpoints")
        prepare(dsn)
        return dsn

    def _environment(self, bootstrap_servers: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(_ROOT),
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            LEDGER: str(self.ledger.path),
        }

    def _worker(self, number: int) -> ServerProcess:
        through_proxies = ",".join(f"{LOOPBACK}:{port}" for port in self._ports[number].values())
        return ServerProcess(
            f"worker {number}",
            [sys.executable, "-m", "langgraph_integration", _GRAPH],
            log_file=self.folder / f"worker-{number}.log",
            environment={
                **self._environment(through_proxies),
                "WORKFLOW_WORKER_CHECKPOINTER": self.database,
                "WORKFLOW_WORKER_SESSION_TIMEOUT": str(_SESSION_TIMEOUT),
            },
            directory=self.folder,
        )

    def _requester(self) -> ServerProcess:
        return ServerProcess(
            "requester",
            [sys.executable, "-m", "tests.chaos.requester"],
            log_file=self.folder / "requester.log",
            environment={**self._environment(self.kafka.bootstrap_servers), **self._asks},
            directory=self.folder,
        )

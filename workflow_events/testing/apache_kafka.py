"""Apache Kafka itself, in KRaft mode: one broker, or several that replicate.

Made for tests: it boots in a few seconds on two cores, with small heaps, few internal partitions and no rebalance delay.
What concerns durability and the protocol is left as Kafka has it.
"""

from __future__ import annotations

import base64
import concurrent.futures
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from workflow_events.testing.kafka_distribution import DEFAULT_VERSION, java_program, kafka_libraries
from workflow_events.testing.processes import LOOPBACK, ServerProcess, ServerStartError, free_port
from workflow_events.testing.server_context import ServerContext

JVM_OPTIONS = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
"""Small, and quick to start. A benchmark gives its own: the last but one option stops the optimizing compiler."""

_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_STARTED = "Kafka Server started"  # logged once the broker is registered and unfenced


class ApacheKafka(ServerContext):
    """A Kafka cluster on 127.0.0.1, as a context manager. Nodes count from 1; each is broker and controller.

    Args:
        brokers: how many nodes. Internal topics have three replicas when there are three nodes or more, else one.
        version: of Kafka, 4.0 or later.
        properties: more lines for every node's ``server.properties``; they win over the ones made here.
        jvm_options: for every node's Java.
        networks: for each, a plain listener more on every node, which says that it is to be reached at these ports of
            127.0.0.1, by node. Whoever wants to stand between some clients and the brokers (`TcpProxy`) listens there, and
            passes on to `port_behind`.

    Raises:
        PartUnavailableError: Java or Maven is missing, or the version cannot be fetched.
    """

    def __init__(
        self,
        brokers: int = 1,
        *,
        version: str = DEFAULT_VERSION,
        properties: Mapping[str, str] | None = None,
        jvm_options: tuple[str, ...] = JVM_OPTIONS,
        networks: Sequence[Mapping[int, int]] = (),
    ) -> None:
        self.version = version
        self._networks = {f"NETWORK{number}": dict(ports) for number, ports in enumerate(networks)}
        self._java = [java_program(), *jvm_options, "-cp", f"{kafka_libraries(version)}/*"]
        self._folder = Path(tempfile.mkdtemp(prefix="workflow-events-kafka-"))
        self._cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        self._ports = {node: free_port() for node in range(1, brokers + 1)}
        self._controller_ports = {node: free_port() for node in self._ports}
        self._ports_behind = {(name, node): free_port() for name, ports in self._networks.items() for node in ports}
        self._properties = dict(properties or {})
        self._servers = {node: self._server(node) for node in self._ports}

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect, as ``host:port,host:port``; the addresses stay the same over restarts."""
        return ",".join(f"{LOOPBACK}:{port}" for port in self._ports.values())

    def port_behind(self, node: int, network: int = 0) -> int:
        """Where that node listens for that network, whose clients look for it at the network's port."""
        return self._ports_behind[f"NETWORK{network}", node]

    @property
    def nodes(self) -> tuple[int, ...]:
        """The ids of the nodes."""
        return tuple(self._ports)

    @property
    def real_part(self) -> str:
        """What the summary of a test run calls it."""
        return f"Apache Kafka {self.version}"

    def is_running(self, node: int = 1) -> bool:
        """Whether the process of that node lives."""
        return self._servers[node].is_running

    def start(self, node: int | None = None, timeout: float = 60.0) -> None:
        """Start one node, or all, and wait until each is registered and serves.

        Raises:
            ServerStartError: one does not within `timeout` seconds.
        """
        chosen = self._chosen(node)
        with concurrent.futures.ThreadPoolExecutor(len(chosen)) as pool:
            list(pool.map(self._format, chosen))
        for number in chosen:
            self._servers[number].start()
        for number in chosen:
            server = self._servers[number]
            server.wait_ready(lambda server=server: _STARTED in server.log_text(), timeout)  # type: ignore[misc]

    def stop(self, node: int | None = None, grace: float = 15.0) -> None:
        """Shut one node down in good order, or all; what is left after `grace` seconds is killed."""
        chosen = self._chosen(node)
        # All at once: a node that goes down in good order hands its leadership to another, and waits for that.
        with concurrent.futures.ThreadPoolExecutor(len(chosen)) as pool:
            list(pool.map(lambda number: self._servers[number].stop(grace), chosen))

    def kill(self, node: int | None = None) -> None:
        """End one node, or all, as ``kill -9`` does. What they hold on disk stays."""
        for number in self._chosen(node):
            self._servers[number].kill()

    def restart(self, node: int | None = None, timeout: float = 60.0) -> None:
        """Stop one node, or all, if they run, and start them again with the same data at the same addresses."""
        self.stop(node)
        self.start(node, timeout)

    def log_text(self, node: int = 1) -> str:
        """Return what that node has logged since it was last started."""
        return self._servers[node].log_text()

    def close(self) -> None:
        """End all nodes and remove their data."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _chosen(self, node: int | None) -> tuple[int, ...]:
        return self.nodes if node is None else (node,)

    def _server(self, node: int) -> ServerProcess:
        home = self._folder / str(node)
        home.mkdir()
        config = home / "server.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in self._node_properties(node, home).items()))
        logging = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=info", "-Dorg.slf4j.simpleLogger.showDateTime=true"]
        # The program's own settings would be logged at every start, a thousand lines of them.
        logging += [
            f"-Dorg.slf4j.simpleLogger.log.{name}=warn"
            for name in ("org.apache.kafka.common.config", "kafka.server.KafkaConfig")
        ]
        return ServerProcess(
            f"Apache Kafka {self.version}, node {node},",
            [*self._java, *logging, "kafka.Kafka", config],
            log_file=home / "server.log",
            directory=home,
        )

    def _node_properties(self, node: int, home: Path) -> dict[str, str]:
        replicas = "3" if len(self._ports) >= 3 else "1"
        in_sync = "2" if len(self._ports) >= 3 else "1"
        listeners = advertised = f"PLAINTEXT://{LOOPBACK}:{self._ports[node]}"
        for name, ports in self._networks.items():
            listeners += f",{name}://{LOOPBACK}:{self._ports_behind[name, node]}"
            advertised += f",{name}://{LOOPBACK}:{ports[node]}"
        made_here = {
            "process.roles": "broker,controller",
            "node.id": str(node),
            "controller.quorum.voters": ",".join(
                f"{n}@{LOOPBACK}:{port}" for n, port in self._controller_ports.items()
            ),
            "listeners": f"{listeners},CONTROLLER://{LOOPBACK}:{self._controller_ports[node]}",
            "advertised.listeners": advertised,
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": ",".join(
                [
                    *(f"{name}:PLAINTEXT" for name in ("CONTROLLER", *self._networks)),
                    *(f"{name}:{name}" for name in _PROTOCOLS),
                ]
            ),
            "log.dirs": str(home / "data"),
            # A topic that nobody made is an error, not a new topic.
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            # Lets a test have a killed member given up within a second or two; Kafka's own least is 6 s.
            "group.min.session.timeout.ms": "1000",
            "offsets.topic.num.partitions": "3",
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.num.partitions": "3",
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": in_sync,
            # A killed broker is given up, and let in again, within seconds; Kafka's own 9 s forgives long pauses of big heaps.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
        }
        return made_here | self._properties

    def _format(self, node: int) -> None:
        """Give the node's empty data folder the cluster's id; a formatted one is left alone."""
        home = self._folder / str(node)
        if home.joinpath("data", "meta.properties").exists():
            return
        config = home / "server.properties"
        done = subprocess.run(
            [*self._java, "kafka.tools.StorageTool", "format", "-t", self._cluster_id, "-c", config],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServerStartError(f"Apache Kafka's storage could not be formatted:\n{done.stdout}{done.stderr}")

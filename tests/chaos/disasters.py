"""How each disaster is brought about, and undone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.chaos.schedule import Disaster, Kind

if TYPE_CHECKING:
    from tests.chaos.parts import Parts
    from workflow_events.testing.airflow import AirflowStack
    from workflow_events.testing.tcp_proxy import TcpProxy

__all__ = ["Befallen", "Disasters"]


@dataclass(frozen=True, slots=True)
class Befallen:
    """A disaster that came.

    Attributes:
        what: whom it befell.
        began: seconds since the session's start.
        ended: when the part was back, and a broker's replicas in sync.
    """

    disaster: Disaster
    what: str
    began: float
    ended: float

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            **asdict(self.disaster),
            "kind": self.disaster.kind.value,
            "lane": self.disaster.kind.lane.value,
            "what": self.what,
            "began": round(self.began, 1),
            "ended": round(self.ended, 1),
        }


class _Network(NamedTuple):
    name: str
    proxies: list[TcpProxy]


class Disasters:
    """Brings disasters over the parts.

    Args:
        parts: running.
        stop: set when the session is to end; nothing is held any longer then.
        airflow: the Airflow whose components are killed; None where no disaster of it is scheduled.
    """

    def __init__(self, parts: Parts, stop: threading.Event, airflow: AirflowStack | None = None) -> None:
        self._parts = parts
        self._stop = stop
        self._airflow = airflow
        self._start = time.monotonic()
        self._ways: dict[Kind, Callable[[Disaster], str]] = {
            Kind.KILL_RESULTS_LEADER: self._kill_results_leader,
            Kind.KILL_BROKER: lambda one: self._kill_broker(one, one.target % len(parts.kafka.nodes) + 1),
            Kind.ROLLING_RESTART: self._restart_one_by_one,
            Kind.KILL_WORKER: lambda one: parts.workers[one.target % len(parts.workers)].kill(one.hold, stop),
            Kind.KILL_REQUESTER: lambda one: parts.requester.kill(one.hold, stop),
            Kind.CUT_NETWORK: lambda one: self._cut(one, self._network(one)),
            Kind.CUT_OFF_WORKER: lambda one: self._cut(one, self._network_of_one(one)),
            Kind.DELAY_NETWORK: lambda one: self._delay(one, self._network(one)),
            Kind.TEAR_CONNECTIONS: lambda one: self._tear(self._network(one)),
            Kind.KILL_TRIGGERER: lambda one: self._kill_component(one, "triggerer"),
            Kind.KILL_SCHEDULER: lambda one: self._kill_component(one, "scheduler"),
        }

    def bring(self, disaster: Disaster) -> Befallen:
        """Bring one about and undo it.

        Raises:
            ServerStartError: the part does not come back.
            TimeoutError: the cluster does not become whole again.
        """
        began = time.monotonic() - self._start
        what = self._ways[disaster.kind](disaster)
        return Befallen(disaster, what, began, time.monotonic() - self._start)

    def _kill_results_leader(self, one: Disaster) -> str:
        settings = self._parts.settings
        partition = one.target % settings.topic_partitions
        node = self._parts.leader_of(settings.workflow_results_topic, partition)
        return f"{self._kill_broker(one, node)}, leader of {settings.workflow_results_topic}-{partition}"

    def _kill_broker(self, one: Disaster, node: int) -> str:
        self._parts.kafka.kill(node)
        self._stop.wait(one.hold)
        self._parts.kafka.start(node)
        self._parts.wait_until_whole()
        return f"broker {node}"

    def _restart_one_by_one(self, _: Disaster) -> str:
        for node in self._parts.kafka.nodes:
            self._parts.kafka.restart(node)
            self._parts.wait_until_whole()
        return "brokers " + ", ".join(map(str, self._parts.kafka.nodes))

    def _network(self, one: Disaster) -> _Network:
        """All workers' network to one broker, which stays the leader as the others see it, or to all."""
        proxies = self._parts.proxies
        nodes = self._parts.kafka.nodes
        node = one.target % (len(nodes) + 1)
        if node == 0:
            return _Network("all workers to all brokers", list(proxies.values()))
        return _Network(f"all workers to broker {node}", [proxy for (_, to), proxy in proxies.items() if to == node])

    def _network_of_one(self, one: Disaster) -> _Network:
        worker = one.target % len(self._parts.workers)
        found = [proxy for (of, _), proxy in self._parts.proxies.items() if of == worker]
        return _Network(f"worker {worker} to all brokers", found)

    def _cut(self, one: Disaster, network: _Network) -> str:
        for proxy in network.proxies:
            proxy.cut()
        self._stop.wait(one.hold)
        for proxy in network.proxies:
            proxy.mend()
        return network.name

    def _delay(self, one: Disaster, network: _Network) -> str:
        for proxy in network.proxies:
            proxy.delay(one.strength)
        self._stop.wait(one.hold)
        for proxy in network.proxies:
            proxy.delay(0.0)
        return f"{network.name}, {one.strength:g} s each way"

    def _tear(self, network: _Network) -> str:
        for proxy in network.proxies:
            proxy.tear()
        return network.name

    def _kill_component(self, one: Disaster, name: Any) -> str:
        if self._airflow is None:
            raise RuntimeError("there is no Airflow in this session")
        self._airflow.kill(name)
        self._stop.wait(one.hold)
        self._airflow.start_component(name, timeout=120)
        return f"Airflow's {name}"

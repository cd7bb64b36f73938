"""What goes wrong, and when: a plan that follows from a seed alone.

Disasters stand in lanes, one for each kind of part. Those of one lane come one after the other, so that no two brokers are down
at once, which replication 3 with two in sync does not promise to survive; the lanes go on side by side. A disaster begins
when a certain share of the requests has been answered, not at a time of day: a slow machine then gets the same disasters.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["LONG", "SHORT", "WITH_AIRFLOW", "Disaster", "Extent", "Kind", "Lane", "schedule"]


class Lane(StrEnum):
    """Which parts a disaster befalls."""

    BROKERS = "brokers"
    CLIENTS = "workers, requester, network"
    AIRFLOW = "Airflow"


class Kind(StrEnum):
    """A disaster."""

    KILL_RESULTS_LEADER = "kill -9 a results leader"
    KILL_BROKER = "kill -9 a broker"
    ROLLING_RESTART = "rolling restart of the brokers"
    KILL_WORKER = "kill -9 a worker"
    KILL_REQUESTER = "kill -9 the requester"
    CUT_NETWORK = "cut the workers' network"
    CUT_OFF_WORKER = "cut one worker off"
    DELAY_NETWORK = "delay the workers' network"
    TEAR_CONNECTIONS = "reset the workers' connections"
    KILL_TRIGGERER = "kill -9 the triggerer"
    KILL_SCHEDULER = "kill -9 the scheduler"

    @property
    def lane(self) -> Lane:
        """The lane it stands in."""
        if self in _OF_BROKERS:
            return Lane.BROKERS
        return Lane.AIRFLOW if self in _OF_AIRFLOW else Lane.CLIENTS


_OF_BROKERS = {Kind.KILL_RESULTS_LEADER, Kind.KILL_BROKER, Kind.ROLLING_RESTART}
_OF_AIRFLOW = {Kind.KILL_TRIGGERER, Kind.KILL_SCHEDULER}
# Seconds. How long the part stays away, or the network stays bad. A worker is cut off for longer than its session lasts (6 s),
# so that the group gives its partitions to another while it is still at work.
_HOLD = {
    Kind.KILL_RESULTS_LEADER: (1.0, 6.0),
    Kind.KILL_BROKER: (1.0, 6.0),
    Kind.KILL_WORKER: (0.0, 3.0),
    Kind.KILL_REQUESTER: (0.0, 2.0),
    Kind.CUT_NETWORK: (2.0, 12.0),
    Kind.CUT_OFF_WORKER: (12.0, 20.0),
    Kind.DELAY_NETWORK: (4.0, 10.0),
    Kind.KILL_TRIGGERER: (0.0, 5.0),
    Kind.KILL_SCHEDULER: (0.0, 5.0),
}
_FIRST, _LAST = 0.08, 0.85  # shares of the requests answered, between which disasters begin


@dataclass(frozen=True, slots=True)
class Disaster:
    """One thing that goes wrong.

    Attributes:
        at: how many requests have been answered when it may begin; it also waits for the one before it in its lane.
        target: which of the parts, modulo how many there are (for a results leader: which partition's).
        hold: seconds until the part is started again, or the network mended.
        strength: seconds of delay, for a delay.
    """

    kind: Kind
    at: int
    target: int = 0
    hold: float = 0.0
    strength: float = 0.0


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of it.

    Attributes:
        requests: of the requester process.
        per_second: how many of them it asks in a second, at most.
        kinds: how often each disaster comes.
        tasks: mapped Airflow tasks, each with a request of its own; none: no Airflow.
    """

    requests: int
    per_second: float
    kinds: dict[Kind, int]
    tasks: int = 0


SHORT = Extent(
    requests=200,
    per_second=10.0,
    kinds={Kind.KILL_RESULTS_LEADER: 1, Kind.KILL_WORKER: 1, Kind.KILL_REQUESTER: 1, Kind.CUT_OFF_WORKER: 1},
)
LONG = Extent(
    requests=2_000,
    per_second=25.0,
    kinds={
        Kind.KILL_RESULTS_LEADER: 2,
        Kind.KILL_BROKER: 1,
        Kind.ROLLING_RESTART: 1,
        Kind.KILL_WORKER: 4,
        Kind.KILL_REQUESTER: 2,
        Kind.CUT_NETWORK: 2,
        Kind.CUT_OFF_WORKER: 2,
        Kind.DELAY_NETWORK: 2,
        Kind.TEAR_CONNECTIONS: 2,
    },
)
WITH_AIRFLOW = Extent(
    requests=1_950,
    per_second=LONG.per_second,
    kinds={**LONG.kinds, Kind.KILL_TRIGGERER: 1, Kind.KILL_SCHEDULER: 1},
    tasks=50,
)


def schedule(seed: int, extent: Extent) -> list[Disaster]:
    """The disasters of a seed, by when they may begin. The same seed and extent give the same disasters."""
    found: list[Disaster] = []
    for lane in Lane:
        chance = random.Random(f"{seed} {lane.name}")
        kinds = [kind for kind, count in extent.kinds.items() if kind.lane is lane for _ in range(count)]
        chance.shuffle(kinds)
        step = (_LAST - _FIRST) / max(1, len(kinds))
        for place, kind in enumerate(kinds):
            share = _FIRST + step * (place + chance.random() * 0.8)
            low, high = _HOLD.get(kind, (0.0, 0.0))
            found.append(
                Disaster(
                    kind,
                    at=round(share * extent.requests),
                    target=chance.randrange(1_000),
                    hold=round(chance.uniform(low, high), 1),
                    strength=round(chance.uniform(0.05, 0.5), 2) if kind is Kind.DELAY_NETWORK else 0.0,
                )
            )
    return sorted(found, key=lambda one: one.at)

"""How cost grows: with the waiters of one reader, and with the strangers they wait among.

Two curves. Along one the waiters grow among a fixed number of strangers, along the other the strangers around a fixed number of
waiters. Every point is a log of its own, read from its start, with the results spread evenly and one of them at the very end. At
each point the one reader stands beside the raw scan of the same messages and, while it is bearable, beside a consumer for
each waiter. One round measures all points of both curves, so that drift bends none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from benchmarks.lines import growth, straightness
from benchmarks.log_filling import fill, results, seal
from benchmarks.measuring import Figure, Point, tell_progress
from benchmarks.series import ONE_EACH, RAW
from benchmarks.serving import (
    Cost,
    Job,
    Way,
    by_one_reader,
    by_reading_alone,
    by_their_own_consumers,
    cost_of,
    ids,
)
from workflow_events.testing.new_topics import settings_with_new_topics

if TYPE_CHECKING:
    from workflow_events import KafkaSettings

__all__ = ["measure"]

_WAITERS = (1, 10, 100, 1_000, 5_000, 10_000, 20_000, 50_000)
_AMONG_STRANGERS = 10_000
_STRANGERS = (1_000, 10_000, 100_000, 1_000_000)
_AROUND_WAITERS = 100
_EACH_UP_TO = 100
"""More waiters than these with a consumer of their own are not waited for: it grows with the scale, as the waiters do."""
_REHEARSED_UP_TO = 100_000
"""Longer logs are not read in the uncounted round."""

_MORE_THAN_FETCHED = 100_000

Reading = Callable[[Cost], float]
_MEASURES: dict[str, tuple[str, Reading]] = {
    "time": ("s", attrgetter("seconds")),
    "CPU": ("s", attrgetter("cpu_seconds")),
    "memory": ("MiB", lambda cost: cost.peak_bytes / 2**20),
    "sockets and threads": ("count", attrgetter("handles")),
}


@dataclass(frozen=True, slots=True)
class _Spot:
    """One place on a curve."""

    curve: str
    x: int
    waiters: int
    strangers: int
    each: bool = False
    """Whether so many are also measured with a consumer of their own each."""

    @property
    def ways(self) -> tuple[Way, ...]:
        return (by_one_reader, by_reading_alone, *((by_their_own_consumers,) if self.each else ()))


Costs = dict[tuple[_Spot, Way], list[Cost]]


async def measure(settings: KafkaSettings, broker: str, runs: int, scale: float) -> AsyncIterator[Figure]:
    """Both curves, point by point, and how straight they are."""
    spots = list(_spots(scale))
    jobs: dict[_Spot, Job] = {}
    for number, spot in enumerate(spots):
        tell_progress(f"filling {spot.strangers:,} strangers and {spot.waiters:,} results", number, len(spots))
        jobs[spot] = await asyncio.to_thread(_filled, settings, spot)
    costs = await _rounds(jobs, runs)
    for spot in spots:
        for figure in _at(spot, broker, costs):
            yield figure
    for curve in ("waiters", "strangers"):
        on_curve = [spot for spot in spots if spot.curve == curve]
        for figure in _along(curve, on_curve, broker, costs):
            yield figure


def _spots(scale: float) -> Iterator[_Spot]:
    among = max(20, int(_AMONG_STRANGERS * scale))
    around = max(2, int(_AROUND_WAITERS * scale))
    # Small scales make neighbours equal, and a curve has each point once.
    for waiters in sorted({max(1, int(waiters * scale)) for waiters in _WAITERS}):
        yield _Spot("waiters", waiters, waiters, among, each=waiters <= max(2, _EACH_UP_TO * scale))
    for strangers in sorted({max(20 * number, int(size * scale)) for number, size in enumerate(_STRANGERS, 1)}):
        yield _Spot("strangers", strangers, around, strangers)


def _filled(settings: KafkaSettings, spot: _Spot) -> Job:
    fresh = settings_with_new_topics(settings.bootstrap_servers, topic_partitions=settings.topic_partitions)
    fill(fresh, results(spot.strangers + spot.waiters, ids(spot.waiters)))
    seal(fresh)
    return Job(fresh, spot.waiters)


async def _rounds(jobs: dict[_Spot, Job], runs: int) -> Costs:
    costs: Costs = {(spot, way): [] for spot in jobs for way in spot.ways}
    for counted in range(-1, runs):
        for number, (spot, job) in enumerate(jobs.items()):
            if counted < 0 and spot.strangers > _REHEARSED_UP_TO:
                continue
            what = f"round {counted + 1} of {runs}: {spot.waiters:,} waiters, {spot.strangers:,} strangers"
            tell_progress(what, (counted + 1) * len(jobs) + number, (runs + 1) * len(jobs))
            # Who goes first changes, so that neither always finds the caches warm.
            for way in spot.ways if counted % 2 else reversed(spot.ways):
                cost = await cost_of(way, job)
                if counted >= 0:
                    costs[spot, way].append(cost)
    return costs


def _at(spot: _Spot, broker: str, costs: Costs) -> Iterator[Figure]:
    where = f"{spot.waiters:,} waiters, {spot.strangers:,} strangers"
    for name, (unit, reading) in _MEASURES.items():
        ours, raw, *each = ([reading(cost) for cost in costs[spot, way]] for way in spot.ways)
        point = Point(spot.curve, spot.x, name)
        yield Figure(f"{where}: {name}", broker, ours, raw, RAW, unit, point=point)
        for theirs in each:
            yield Figure(f"{where}: {name}", broker, ours, theirs, ONE_EACH, unit, point=point)


def _along(curve: str, spots: list[_Spot], broker: str, costs: Costs) -> Iterator[Figure]:
    first, *_, before, last = spots
    x = [float(spot.x) for spot in spots]
    # One curve a round, of our CPU seconds.
    rounds = list(zip(*([cost.cpu_seconds for cost in costs[spot, by_one_reader]] for spot in spots), strict=True))
    span = f"{first.x:,} to {last.x:,} {curve}"
    ones = [1.0] * len(rounds)
    exponents = [growth(x, cpu) for cpu in rounds]
    yield Figure(f"exponent of growth of CPU, {span}", broker, exponents, ones, "a straight line", "", "<= 1.1")
    fits = [straightness(x, cpu) for cpu in rounds]
    yield Figure(f"R² of a straight line through CPU, {span}", broker, fits, ones, "a perfect fit", "", ">= 0.98")
    yield Figure(
        f"sockets and threads with {last.x:,} {curve}",
        broker,
        [cost.handles for cost in costs[last, by_one_reader]],
        [cost.handles for cost in costs[first, by_one_reader]],
        f"with {first.x:,}",
        "count",
        "<= 1.0",
    )
    if curve == "strangers":
        yield Figure(
            f"memory with {last.x:,} {curve}",
            broker,
            [cost.peak_bytes / 2**20 for cost in costs[last, by_one_reader]],
            [cost.peak_bytes / 2**20 for cost in costs[before, by_one_reader]],
            f"with {before.x:,}",
            "MiB",
            # Below, the log fits in what a client fetches ahead, and all of it is in memory.
            "<= 1.5" if before.x >= _MORE_THAN_FETCHED else "",
        )

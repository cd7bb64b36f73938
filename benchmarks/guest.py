"""How long others wait for their turn in the event loop that the reader shares with them.

Airflow's triggerer runs a thousand triggers of other people in the loop in which the reader lives. Here a coroutine asks to be
woken every few milliseconds, and the longest that it was woken late is the figure: while strangers pour in, and while ten
thousand waiters are taken up at once over a long backlog. The promise is 100 ms.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from benchmarks.flooding import flooding
from benchmarks.log_filling import fill, results, seal
from benchmarks.measuring import Figure, tell_progress
from benchmarks.waiting import pending_request
from workflow_events.replies import topic_log
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.testing.new_topics import settings_with_new_topics

if TYPE_CHECKING:
    from workflow_events import KafkaSettings

__all__ = ["measure"]

RATE = 100_000
LIMIT_MS = 100.0
_EVERY = 0.005


@dataclass(slots=True)
class _Turns:
    """How late a coroutine was woken, in milliseconds."""

    late: list[float] = field(default_factory=list)

    @property
    def longest(self) -> float:
        return max(self.late, default=0.0)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Measure while the block lasts."""
        task = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            task.cancel()

    async def _tick(self) -> None:
        while True:
            due = time.perf_counter() + _EVERY
            await asyncio.sleep(_EVERY)
            self.late.append((time.perf_counter() - due) * 1000)


@dataclass(slots=True)
class _Side:
    """What one side of a figure came to, run by run."""

    longest: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


async def measure(settings: KafkaSettings, broker: str, runs: int, scale: float) -> AsyncIterator[Figure]:
    """Following the end of the topic, and catching up."""
    with flooding(settings, RATE):
        yield await _figure(
            f"longest wait of another coroutine, {RATE:,} strangers/s and 1,000 waiters",
            broker,
            lambda side: _follow(settings, max(0.5, 5 * scale), side),
            lambda side: _follow_bare(settings, max(0.5, 5 * scale), side),
            runs,
        )
    fresh = settings_with_new_topics(settings.bootstrap_servers, topic_partitions=settings.topic_partitions)
    backlog, waiters = int(1_000_000 * scale), int(10_000 * scale)
    ids = [uuid4() for _ in range(waiters)]
    await asyncio.to_thread(fill, fresh, results(backlog, ids))
    seal(fresh)
    yield await _figure(
        f"longest wait of another coroutine, {waiters:,} taken up over a backlog of {backlog:,}",
        broker,
        lambda side: _catch_up(fresh, ids, backlog, side),
        lambda side: _scan_bare(fresh, side),
        runs,
    )


async def _figure(
    name: str,
    broker: str,
    ours: Callable[[_Side], Awaitable[None]],
    bare: Callable[[_Side], Awaitable[None]],
    runs: int,
) -> Figure:
    mine, baseline = _Side(), _Side()
    for run in range(runs):
        tell_progress(name, run, runs)
        for act, side in ((ours, mine), (bare, baseline)):
            gc.collect()
            await act(side)
    return Figure(
        name,
        broker,
        mine.longest,
        [LIMIT_MS] * runs,
        "the promised limit",
        "ms",
        "<= 1.0",
        f"at {median(mine.rates):,.0f} messages/s; a bare aiokafka reader: {median(baseline.longest):.0f} ms "
        f"({min(baseline.longest):.0f} to {max(baseline.longest):.0f}) at {median(baseline.rates):,.0f} messages/s",
    )


async def _follow(settings: KafkaSettings, seconds: float, side: _Side) -> None:
    async with ReplyReader.lease(settings, settings.workflow_results_topic) as reader:
        await reader.ready(settings.connect_timeout)
        with ExitStack() as stack:
            for _ in range(1_000):
                stack.enter_context(reader.expect(pending_request(settings, uuid4(), reader.cursor())))
            turns, before = _Turns(), reader.counts.seen
            with turns.watched():
                await asyncio.sleep(seconds)
            side.longest.append(turns.longest)
            side.rates.append((reader.counts.seen - before) / seconds)


async def _follow_bare(settings: KafkaSettings, seconds: float, side: _Side) -> None:
    topic = settings.workflow_results_topic
    async with topic_log.open_log(settings, topic) as consumer:
        partitions = topic_log.partitions(consumer, topic)
        topic_log.assign_at(consumer, topic, await topic_log.end(consumer, topic, partitions))
        turns, seen, until = _Turns(), 0, time.perf_counter() + seconds
        with turns.watched():
            while time.perf_counter() < until:
                seen += sum(map(len, (await consumer.getmany(timeout_ms=250)).values()))
                await asyncio.sleep(0)
        side.longest.append(turns.longest)
        side.rates.append(seen / seconds)


async def _catch_up(settings: KafkaSettings, ids: list[UUID], backlog: int, side: _Side) -> None:
    """As in a triggerer that takes up where another died: every waiter is a task, and all begin at once."""
    per_partition = backlog // settings.topic_partitions
    pending = [
        pending_request(
            settings,
            correlation_id,
            dict.fromkeys(range(settings.topic_partitions), per_partition * number // len(ids) // 2),
        )
        for number, correlation_id in enumerate(ids)
    ]
    async with ReplyReader.lease(settings, settings.workflow_results_topic) as reader:
        await reader.ready(settings.connect_timeout)
        turns, began = _Turns(), time.perf_counter()
        with turns.watched():
            waiting = []
            for number, one in enumerate(pending):
                waiting.append(asyncio.create_task(reader.wait(one)))
                if number % 100 == 0:
                    await asyncio.sleep(0)
            for task in waiting:
                await task
        side.longest.append(turns.longest)
        side.rates.append(backlog / (time.perf_counter() - began))


async def _scan_bare(settings: KafkaSettings, side: _Side) -> None:
    topic = settings.workflow_results_topic
    async with topic_log.open_log(settings, topic) as consumer:
        partitions = topic_log.partitions(consumer, topic)
        total = sum((await topic_log.end(consumer, topic, partitions)).values())
        topic_log.assign_at(consumer, topic, dict.fromkeys(partitions, 0))
        turns, seen, began = _Turns(), 0, time.perf_counter()
        with turns.watched():
            while seen < total:
                seen += sum(map(len, (await consumer.getmany(timeout_ms=250)).values()))
                await asyncio.sleep(0)
        side.longest.append(turns.longest)
        side.rates.append(total / (time.perf_counter() - began))

"""What it costs a process to serve waiters: by the one reader, by a consumer for each, and to read without any.

Each is measured in a process of its own, so that CPU seconds, peak memory, sockets and threads are those of the one job.
The processes are forked off a clean one that has imported everything: they begin within milliseconds, and alike.
"""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from benchmarks.own_process import call_in_new_process
from benchmarks.waiting import pending_request
from workflow_events.replies import topic_log
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.wire import correlation_key, find_correlation_key

if TYPE_CHECKING:
    from workflow_events import KafkaSettings

__all__ = ["Cost", "Job", "by_one_reader", "by_reading_alone", "by_their_own_consumers", "cost_of", "ids"]

_MAX_RECORDS = 1000
_POLL_MS = 200
_ENOUGH_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Job:
    """A log in which so many wait for their result, all from its start."""

    settings: KafkaSettings
    waiters: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job took.

    Attributes:
        seconds: until the last had its answer.
        cpu_seconds: of all threads of the process, in the same time.
        peak_bytes: how much memory the process had at most, above what it had when the job began.
        handles: open sockets and threads in the middle of the work.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: float
    handles: float


Way = Callable[[Job], Awaitable[Cost]]


def ids(count: int) -> list[UUID]:
    """The correlation ids that a job of so many waiters has in every process."""
    chance = random.Random(count)  # noqa: S311 - no secrets, only the same ids again
    return [UUID(int=chance.getrandbits(128), version=4) for _ in range(count)]


async def cost_of(way: Way, job: Job) -> Cost:
    """Do a job once in a process of its own.

    Raises:
        RuntimeError: the process failed; what it said is on standard error.
    """
    return await asyncio.to_thread(_in_new_process, way, job)


async def by_one_reader(job: Job) -> Cost:
    """All wait at one reader, which finds them behind and serves them from one shared scan."""
    pending = [pending_request(job.settings, correlation_id, {}) for correlation_id in ids(job.waiters)]
    async with ReplyReader.lease(job.settings, job.settings.workflow_results_topic) as reader:
        await reader.ready(job.settings.connect_timeout)
        with ExitStack() as stack:
            meter = _Meter()
            expected = [stack.enter_context(reader.expect(request)) for request in pending]
            first = asyncio.create_task(expected[0].reply())
            first.add_done_callback(lambda _: meter.count_handles())
            await asyncio.gather(first, *(one.reply() for one in expected[1:]))
            return meter.cost()


async def by_their_own_consumers(job: Job) -> Cost:
    """Each waits with a consumer of its own, which looks at every message until its own has come."""
    meter = _Meter()
    await asyncio.gather(*(_consume(job, wanted, meter) for wanted in ids(job.waiters)))
    return meter.cost()


async def by_reading_alone(job: Job) -> Cost:
    """Nobody waits: plain aiokafka reads the same messages and looks at none."""
    topic = job.settings.workflow_results_topic
    meter = _Meter()
    async with topic_log.open_log(job.settings, topic) as consumer:
        partitions = topic_log.partitions(consumer, topic)
        total = sum((await topic_log.end(consumer, topic, partitions)).values())
        topic_log.assign_at(consumer, topic, dict.fromkeys(partitions, 0))
        seen = 0
        while seen < total:
            batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MAX_RECORDS)
            seen += sum(map(len, batches.values()))
        meter.count_handles()
        return meter.cost()


async def _consume(job: Job, wanted: UUID, meter: _Meter) -> None:
    topic, key = job.settings.workflow_results_topic, correlation_key(wanted)
    async with AsyncExitStack() as stack:
        consumer = await stack.enter_async_context(topic_log.open_log(job.settings, topic))
        topic_log.assign_at(consumer, topic, dict.fromkeys(topic_log.partitions(consumer, topic), 0))
        while True:
            batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MAX_RECORDS)
            for record in (record for batch in batches.values() for record in batch):
                if find_correlation_key(record.headers, record.value) == key:
                    meter.count_handles()
                    return
            await asyncio.sleep(0)


class _Meter:
    """Runs from when it is made until it is read."""

    def __init__(self) -> None:
        gc.collect()
        self._handles = 0
        self._peak = _peak_bytes()
        self._cpu = time.process_time()
        self._clock = time.perf_counter()

    def count_handles(self) -> None:
        """Count open sockets and threads; the highest count stays."""
        links = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
        sockets = sum(str(link).startswith("socket:") for link in links)
        self._handles = max(self._handles, sockets + threading.active_count())

    def cost(self) -> Cost:
        """Read it."""
        seconds, cpu_seconds = time.perf_counter() - self._clock, time.process_time() - self._cpu
        # Memory that was there before may have been enough; a page, then, so that ratios can be formed.
        peak = max(_peak_bytes() - self._peak, resource.getpagesize())
        return Cost(seconds, cpu_seconds, float(peak), float(self._handles))


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _in_new_process(way: Way, job: Job) -> Cost:
    failure = f"{way.__name__} failed with {job.waiters:,} waiters"
    return call_in_new_process(_done, way, job, preload=__name__, failure=failure)


def _done(way: Way, job: Job) -> Cost:
    return asyncio.run(_run(way, job))


async def _run(way: Way, job: Job) -> Cost:
    async with asyncio.timeout(_ENOUGH_SECONDS):
        return await way(job)

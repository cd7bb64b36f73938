"""What a waiter costs: memory, sockets, threads, and the time until ten thousand have their answers."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from benchmarks.log_filling import fill, results
from benchmarks.measuring import Figure, compare
from workflow_events import KafkaSettings, PendingRequest
from workflow_events.replies import topic_log
from workflow_events.replies.async_reader import ReplyReader

__all__ = ["measure"]

_LIMIT_BYTES = 2048


async def measure(settings: KafkaSettings, broker: str, runs: int, scale: float) -> AsyncIterator[Figure]:
    """10,000 and 50,000 waiters on one reader."""
    for waiters in (int(10_000 * scale), int(50_000 * scale)):
        sockets: list[float] = []
        sizes: list[float] = []

        async def ours(waiters: int = waiters, sockets: list[float] = sockets, sizes: list[float] = sizes) -> float:
            return await _resolve(settings, waiters, sockets, sizes)

        async def baseline(waiters: int = waiters) -> float:
            return await _read_as_they_come(settings, waiters)

        yield await compare(
            f"{waiters:,} waiters until all are answered",
            broker,
            ours,
            baseline,
            runs=runs,
            baseline_name="aiokafka getmany of the same messages",
            unit="s",
            target="<= 1.3" if waiters < 20_000 else "",
        )
        yield Figure(
            f"memory of one of {waiters:,} waiters, its future included",
            broker,
            sizes[-runs:],
            [float(_LIMIT_BYTES)] * runs,
            "2 KiB",
            "bytes",
            "<= 1.0",
        )
        yield Figure(
            f"sockets and threads with {waiters:,} waiters",
            broker,
            sockets[1::2][-runs:],
            sockets[0::2][-runs:],
            "one waiter",
            "count",
            "<= 1.0",
        )


def _pending(settings: KafkaSettings, cursor: dict[int, int]) -> PendingRequest:
    return PendingRequest(
        correlation_id=uuid4(),
        workflow_id="bench",
        workflow_run_id="bench",
        reply_topic=settings.workflow_results_topic,
        reply_cursor=cursor,
        deadline=datetime.now(tz=UTC) + timedelta(hours=1),
    )


async def _resolve(settings: KafkaSettings, waiters: int, sockets: list[float], sizes: list[float]) -> float:
    async with ReplyReader.lease(settings, settings.workflow_results_topic) as reader:
        await reader.ready(settings.connect_timeout)
        with ExitStack() as stack:
            stack.enter_context(reader.expect(_pending(settings, reader.cursor())))
            sockets.append(_handles())
            pending = [_pending(settings, reader.cursor()) for _ in range(waiters)]
            messages = list(results(waiters, [request.correlation_id for request in pending]))
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            expected = [stack.enter_context(reader.expect(request)) for request in pending]
            sizes.append((tracemalloc.get_traced_memory()[0] - before) / waiters)
            tracemalloc.stop()
            sockets.append(_handles())
            await asyncio.to_thread(fill, settings, messages[:1])
            began = time.perf_counter()
            await asyncio.gather(asyncio.to_thread(fill, settings, messages[1:]), *(one.reply() for one in expected))
            return time.perf_counter() - began


async def _read_as_they_come(settings: KafkaSettings, count: int) -> float:
    topic = settings.workflow_results_topic
    messages = list(results(count))
    async with topic_log.open_log(settings, topic) as consumer:
        partitions = topic_log.partitions(consumer, topic)
        topic_log.assign_at(consumer, topic, await topic_log.end(consumer, topic, partitions))
        await asyncio.to_thread(fill, settings, messages[:1])

        async def read() -> None:
            seen = 0
            while seen < count:
                batches = await consumer.getmany(timeout_ms=250, max_records=1000)
                seen += sum(map(len, batches.values()))

        began = time.perf_counter()
        await asyncio.gather(asyncio.to_thread(fill, settings, messages[1:]), read())
        return time.perf_counter() - began


def _handles() -> float:
    """Open sockets of this process, and its threads."""
    links = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return float(sum(str(link).startswith("socket:") for link in links) + threading.active_count())

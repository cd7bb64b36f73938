"""What a waiter costs: memory, sockets, threads, and the time until ten thousand have their answers."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from benchmarks.measuring import Figure, compare
from benchmarks.publishing import publishing
from benchmarks.waiting import pending_request
from workflow_events.replies import topic_log
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.wire import correlation_key, decode_result

if TYPE_CHECKING:
    from workflow_events import KafkaSettings, WorkflowResultEvent

__all__ = ["measure"]

_LIMIT_BYTES = 2048


async def measure(settings: KafkaSettings, broker: str, runs: int, scale: float) -> AsyncIterator[Figure]:
    """10,000 and 50,000 waiters on one reader."""
    for waiters, messages, target in (
        (int(10_000 * scale), int(10_000 * scale), "<= 1.3"),
        (int(10_000 * scale), int(100_000 * scale), "<= 1.3"),
        (int(50_000 * scale), int(50_000 * scale), ""),
    ):
        sockets: list[float] = []
        sizes: list[float] = []

        async def ours(
            waiters: int = waiters,
            messages: int = messages,
            sockets: list[float] = sockets,
            sizes: list[float] = sizes,
        ) -> float:
            return await _resolve(settings, waiters, messages, sockets, sizes)

        async def baseline(messages: int = messages) -> float:
            return await _read_as_they_come(settings, messages)

        among = f" among {messages - waiters:,} strangers" if messages > waiters else ""
        yield await compare(
            f"{waiters:,} waiters until all are answered{among}",
            broker,
            ours,
            baseline,
            runs=runs,
            baseline_name="aiokafka getmany of the same messages",
            unit="s",
            target=target,
        )
        if among:
            continue

        async def by_hand(waiters: int = waiters) -> float:
            return await _decode_and_wake(settings, waiters)

        yield await compare(
            f"the same {waiters:,} answers, against decoding them and waking a task each",
            broker,
            ours,
            by_hand,
            runs=runs,
            baseline_name="aiokafka getmany, decode_result and a future for each message",
            unit="s",
            note="the least that an answer costs whoever gets it as an event: nothing is judged, counted or verified, and no "
            "waiter may come or go",
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


async def _resolve(
    settings: KafkaSettings, waiters: int, messages: int, sockets: list[float], sizes: list[float]
) -> float:
    async with ReplyReader.lease(settings, settings.workflow_results_topic) as reader:
        await reader.ready(settings.connect_timeout)
        with ExitStack() as stack:
            stack.enter_context(reader.expect(pending_request(settings, uuid4(), reader.cursor())))
            sockets.append(_handles())
            pending = [pending_request(settings, uuid4(), reader.cursor()) for _ in range(waiters)]
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            expected = [stack.enter_context(reader.expect(request)) for request in pending]
            sizes.append((tracemalloc.get_traced_memory()[0] - before) / waiters)
            tracemalloc.stop()
            sockets.append(_handles())
            tasks = [asyncio.create_task(one.reply()) for one in expected]
            await asyncio.sleep(0)
            ids = [request.correlation_id for request in pending]
            publish = await asyncio.to_thread(stack.enter_context, publishing(settings, ids, messages))
            began = time.perf_counter()
            publish()
            await asyncio.gather(*tasks)
            return time.perf_counter() - began


async def _read_as_they_come(settings: KafkaSettings, count: int) -> float:
    topic = settings.workflow_results_topic
    async with topic_log.open_log(settings, topic) as consumer:
        partitions = topic_log.partitions(consumer, topic)
        topic_log.assign_at(consumer, topic, await topic_log.end(consumer, topic, partitions))
        with ExitStack() as stack:
            publish = await asyncio.to_thread(stack.enter_context, publishing(settings, [], count))
            began, seen = time.perf_counter(), 0
            publish()
            while seen < count:
                seen += sum(map(len, (await consumer.getmany(timeout_ms=250)).values()))
            return time.perf_counter() - began


async def _decode_and_wake(settings: KafkaSettings, count: int) -> float:
    topic = settings.workflow_results_topic
    loop = asyncio.get_running_loop()
    waiting = {correlation_key(uuid4()): loop.create_future() for _ in range(count)}

    async def reply(future: asyncio.Future[WorkflowResultEvent]) -> WorkflowResultEvent:
        return await future

    async with topic_log.open_log(settings, topic) as consumer:
        partitions = topic_log.partitions(consumer, topic)
        topic_log.assign_at(consumer, topic, await topic_log.end(consumer, topic, partitions))
        tasks = [asyncio.create_task(reply(future)) for future in waiting.values()]
        await asyncio.sleep(0)
        with ExitStack() as stack:
            ids = [UUID(key.decode()) for key in waiting]
            publish = await asyncio.to_thread(stack.enter_context, publishing(settings, ids, count))
            began = time.perf_counter()
            publish()
            while waiting:
                for records in (await consumer.getmany(timeout_ms=250)).values():
                    for record in records:
                        # The embedded broker's end may lie before the last messages of the round before.
                        if (future := waiting.pop(record.headers[0][1], None)) is not None:
                            future.set_result(decode_result(record.value))
            await asyncio.gather(*tasks)
            return time.perf_counter() - began


def _handles() -> float:
    """Open sockets of this process, and its threads."""
    links = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return float(sum(str(link).startswith("socket:") for link in links) + threading.active_count())

"""From request to result, through the asynchronous client, against a bare ping and pong.

Both sides send the same requests to an echo and get the same results, each on topics of its own, so that neither reads what the
other is sent. The bare side has made its messages beforehand, does not decode what comes, and checks nothing.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Self

from benchmarks.echo import echoing
from benchmarks.measuring import Figure, compare
from workflow_events import AsyncWorkflowClient, KafkaSettings
from workflow_events.replies import topic_log
from workflow_events.requests import prepare_request
from workflow_events.testing.new_topics import settings_with_new_topics
from workflow_events.transport import aio

if TYPE_CHECKING:
    from workflow_events.wire import OutgoingMessage

__all__ = ["measure"]

DATA = {"text": "x" * 300}

BASELINE = "aiokafka produce and consume"

Ask = Callable[[], Awaitable[object]]


async def measure(settings: KafkaSettings, broker: str, runs: int, scale: float) -> AsyncIterator[Figure]:
    """p50 and p99 with 1 and with 100 in flight."""
    bare = settings_with_new_topics(settings.bootstrap_servers, topic_partitions=settings.topic_partitions)
    with echoing(settings), echoing(bare):
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(AsyncWorkflowClient(settings))
            ping = await stack.enter_async_context(_Ping(bare))

            # No coroutine around it: the ping has none either.
            request = partial(client.request, "bench", DATA, timeout=60)
            # The embedded broker holds each fetch for its full time: half a minute for five hundred, one after the other.
            alone = 100 if broker == "embedded" else 500
            for in_flight, count in ((1, alone), (100, 10_000)):
                each = max(in_flight * 2, int(count * scale))
                ours, baseline = _Taken(request, in_flight, each), _Taken(ping.pong, in_flight, each, ping.prepare)
                half = await compare(
                    f"request to result, {in_flight} in flight, p50",
                    broker,
                    ours.half,
                    baseline.half,
                    runs=runs,
                    baseline_name=BASELINE,
                    unit="ms",
                    target="<= 1.2",
                )
                yield half
                yield Figure(
                    f"request to result, {in_flight} in flight, p99",
                    broker,
                    ours.most[-runs:],
                    baseline.most[-runs:],
                    BASELINE,
                    "ms",
                    "<= 1.5",
                )


class _Taken:
    """What ``count`` requests took, so many at a time."""

    def __init__(self, ask: Ask, in_flight: int, count: int, prepare: Callable[[int], None] | None = None) -> None:
        self._ask = ask
        self._in_flight = in_flight
        self._count = count
        self._prepare = prepare
        self.most: list[float] = []
        """The 99th percentile of each run, in ms."""

    async def half(self) -> float:
        """Run once; the median in ms."""
        if self._prepare is not None:
            self._prepare(self._count)
            # What is ready made lies there during the run; to be fair the garbage collector must not visit it.
            gc.freeze()
        try:
            return await self._run()
        finally:
            gc.unfreeze()

    async def _run(self) -> float:
        taken: list[float] = []

        async def asker() -> None:
            for _ in range(self._count // self._in_flight):
                began = time.perf_counter()
                await self._ask()
                taken.append((time.perf_counter() - began) * 1000)

        await asyncio.gather(*(asker() for _ in range(self._in_flight)))
        percentiles = statistics.quantiles(taken, n=100)
        self.most.append(percentiles[98])
        return percentiles[49]


class _Ping:
    """The least that a program must do for itself: publish, read the other topic, look its key up in a dictionary."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._ready_made: list[OutgoingMessage] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        topic = self._settings.workflow_results_topic
        self._consumer = await self._stack.enter_async_context(topic_log.open_log(self._settings, topic))
        partitions = topic_log.partitions(self._consumer, topic)
        topic_log.assign_at(self._consumer, topic, await topic_log.end(self._consumer, topic, partitions))
        self._producer = await aio.start_producer(self._settings)
        self._stack.push_async_callback(self._producer.stop)
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._reading.cancel()
        await asyncio.wait({self._reading})
        await self._stack.aclose()

    async def _read(self) -> None:
        while True:
            batches = await self._consumer.getmany(timeout_ms=250)
            for record in (record for batch in batches.values() for record in batch):
                future = self._waiting.pop(record.key, None)
                if future is not None:
                    future.set_result(record.value)

    def prepare(self, count: int) -> None:
        """Make the messages of ``count`` pings, outside of the measured time."""
        self._ready_made = [
            prepare_request(self._settings, "bench", DATA, cursor={}, timeout=60, source="fastapi").message
            for _ in range(count)
        ]

    async def pong(self) -> None:
        """One message there and back."""
        message = self._ready_made.pop()
        assert message.key is not None
        future = self._waiting[message.key] = asyncio.get_running_loop().create_future()
        await self._producer.send_and_wait(message.topic, message.value, key=message.key, headers=message.headers)
        await future

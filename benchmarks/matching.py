"""How much matching costs on top of reading: one result in ten is waited for."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from benchmarks.log_filling import fill, results, seal
from benchmarks.measuring import Figure, compare
from benchmarks.raw_reading import read_all
from benchmarks.waiting import pending_request
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.replies.records import MAX_RECORDS
from workflow_events.replies.scatter import gather_replies

if TYPE_CHECKING:
    from workflow_events import KafkaSettings

__all__ = ["catch_up_of", "measure"]


async def measure(settings: KafkaSettings, broker: str, runs: int, scale: float) -> AsyncIterator[Figure]:
    """Matching rate with a tenth matched, against reading the same messages; the log is read from its start."""
    count = int(500_000 * scale)
    ids = [uuid4() for _ in range(count // 10)]
    fill(settings, results(count, ids))
    seal(settings)

    async def ours() -> float:
        return count / await catch_up_of(settings, [(correlation_id, {}) for correlation_id in ids])

    async def baseline() -> float:
        return count / await read_all(settings)

    yield await compare(
        f"matching, 10 % of {count:,} messages of 500 B",
        broker,
        ours,
        baseline,
        runs=runs,
        baseline_name="aiokafka getmany",
        unit="messages/s",
        target=">= 0.90",
    )

    async def by_dozens() -> float:
        return count / await read_all(settings, MAX_RECORDS)

    yield await compare(
        f"the same, against reading {MAX_RECORDS} at a time, as ours does",
        broker,
        ours,
        by_dozens,
        runs=runs,
        baseline_name=f"aiokafka getmany, {MAX_RECORDS} at a time",
        unit="messages/s",
    )


async def catch_up_of(settings: KafkaSettings, waiting: list[tuple[UUID, dict[int, int]]]) -> float:
    """Seconds until all who wait, each from a cursor of its own, have their result."""
    topic = settings.workflow_results_topic
    pending = [pending_request(settings, correlation_id, cursor) for correlation_id, cursor in waiting]
    async with ReplyReader.lease(settings, topic) as reader:
        await reader.ready(settings.connect_timeout)
        with ExitStack() as stack:
            expected = [stack.enter_context(reader.expect(request)) for request in pending]
            began = time.perf_counter()
            await gather_replies(expected)
            return time.perf_counter() - began

"""Ten thousand waiters taken up at once after an outage, their cursors spread over a long backlog."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from uuid import uuid4

from benchmarks.log_filling import fill, results, seal
from benchmarks.matching import catch_up_of
from benchmarks.measuring import Figure, compare
from benchmarks.raw_reading import read_all

if TYPE_CHECKING:
    from workflow_events import KafkaSettings

__all__ = ["measure"]


async def measure(settings: KafkaSettings, broker: str, runs: int, scale: float) -> AsyncIterator[Figure]:
    """10,000 cursors over 1,000,000 messages, against one raw scan of them."""
    backlog, waiters = int(1_000_000 * scale), int(10_000 * scale)
    ids = [uuid4() for _ in range(waiters)]
    fill(settings, results(backlog, ids))
    seal(settings)
    per_partition = backlog // settings.topic_partitions
    # The cursor of the n-th lies half way to where its result is.
    waiting = [
        (correlation_id, dict.fromkeys(range(settings.topic_partitions), per_partition * number // waiters // 2))
        for number, correlation_id in enumerate(ids)
    ]

    async def ours() -> float:
        return await catch_up_of(settings, waiting)

    async def baseline() -> float:
        return await read_all(settings)

    figure = await compare(
        f"{waiters:,} re-attached over a backlog of {backlog:,}",
        broker,
        ours,
        baseline,
        runs=runs,
        baseline_name="one raw scan",
        unit="s",
        target="<= 1.3",
        note=f"peak memory of the whole process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB",
    )
    yield figure

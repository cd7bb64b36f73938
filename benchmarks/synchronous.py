"""The poller against a bare kafka-python scan."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from kafka import TopicPartition

from benchmarks.log_filling import fill, results, seal
from benchmarks.measuring import Figure, compare
from benchmarks.waiting import pending_request
from workflow_events.replies.sync_reader import SyncReplyReader
from workflow_events.transport import blocking

if TYPE_CHECKING:
    from workflow_events import KafkaSettings

__all__ = ["measure"]


async def measure(settings: KafkaSettings, broker: str, runs: int, scale: float) -> AsyncIterator[Figure]:
    """Messages a second until a result at the log's end is found."""
    count = int(100_000 * scale)
    mine = uuid4()
    fill(settings, results(count, [mine]))
    seal(settings)

    def poll() -> float:
        pending = pending_request(settings, mine, {})
        with closing(SyncReplyReader(settings, settings.workflow_results_topic)) as reader:
            reader.end_cursor()
            began = time.perf_counter()
            reader.wait(pending)
            return reader.counts.seen / (time.perf_counter() - began)

    def scan() -> float:
        topic = settings.workflow_results_topic
        with closing(blocking.new_consumer(settings, fetch_max_wait_ms=100)) as consumer:
            partitions = [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic)]
            total = sum(consumer.end_offsets(partitions).values())
            consumer.assign(partitions)
            for partition in partitions:
                consumer.seek(partition, 0)
            began = time.perf_counter()
            seen = 0
            while seen < total:
                seen += sum(map(len, consumer.poll(timeout_ms=500, max_records=1000).values()))
            return seen / (time.perf_counter() - began)

    async def ours() -> float:
        return await asyncio.to_thread(poll)

    async def baseline() -> float:
        return await asyncio.to_thread(scan)

    yield await compare(
        f"poller over {count:,} messages",
        broker,
        ours,
        baseline,
        runs=runs,
        baseline_name="kafka-python poll",
        unit="messages/s",
        target=">= 0.9",
    )
    yield await asyncio.to_thread(_by_partition, settings, broker, runs, count)


def _by_partition(settings: KafkaSettings, broker: str, runs: int, strangers: int) -> Figure:
    """How many messages are read for an answer at the end of one partition, by who asked to have it there."""
    topic, only, answers = settings.workflow_results_topic, 0, [uuid4() for _ in range(runs)]
    messages = [replace(message, partition=only) for message in results(runs, answers)]
    fill(settings, messages)
    read: list[float] = []
    for mine in answers:
        with closing(SyncReplyReader(settings, topic, partition=only)) as reader:
            reader.wait(pending_request(settings, mine, {}, only))
            read.append(float(reader.counts.seen))
    total = strangers + runs
    share = total / settings.topic_partitions
    return Figure(
        f"messages read for an answer in one of {settings.topic_partitions} partitions, of {total:,}",
        broker,
        read,
        [share] * runs,
        "that share of all",
        "messages",
        target="<= 1.1",
    )

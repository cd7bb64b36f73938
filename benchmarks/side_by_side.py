"""Several processors of one group, each in a process of its own, at one job."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING

from aiokafka import TopicPartition
from pydantic import SecretStr

from benchmarks.ingesting import BATCH, ENOUGH_SECONDS, Job, database
from benchmarks.own_process import new_process
from result_store.event_loop import run_serving
from result_store.garbage import settle
from result_store.processor import Processor
from result_store.settings import StoreSettings
from workflow_events.transport import aio

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from aiokafka import AIOKafkaConsumer

    from workflow_events.dead_letters import StoredMessage

__all__ = ["rate_side_by_side"]

_LOOK = 0.005
"""Seconds between two looks at what is committed, or assigned."""


async def rate_side_by_side(job: Job, processors: int) -> float:
    """Messages a second, from when each processor has its share of the partitions, and none has read, until all is committed."""
    group_id = f"measured-{uuid.uuid4().hex}"
    consumer = await aio.start_consumer(job.kafka, group_id=group_id)
    try:
        async with asyncio.timeout(ENOUGH_SECONDS):
            with ExitStack() as stack:
                connections = [
                    stack.enter_context(new_process(_serve, job, group_id, preload=__name__)) for _ in range(processors)
                ]
                partitions = _partitions(job)
                await _shared_out(connections, len(partitions))
                _tell(connections, "begin")
                began = time.perf_counter()
                while await _committed(consumer, partitions) < job.events:  # noqa: ASYNC110 - a broker tells nobody
                    await asyncio.sleep(_LOOK)
                seconds = time.perf_counter() - began
                _tell(connections, "stop")
    finally:
        await aio.stop(consumer)
    return job.events / seconds


def _topics(job: Job) -> list[str]:
    return [job.kafka.workflow_events_topic, job.kafka.workflow_results_topic, job.kafka.workflow_progress_topic]


def _partitions(job: Job) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for topic in _topics(job) for number in range(job.kafka.topic_partitions)]


async def _committed(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> int:
    found = await aio.committed_with_metadata(consumer, partitions)
    return sum(max(0, committed.offset) for committed in found.values())


async def _shared_out(connections: list[Connection], partitions: int) -> None:
    """Wait until each has a share, and together they have all."""
    shares = [0] * len(connections)
    while sum(shares) != partitions or not all(shares):
        for number, connection in enumerate(connections):
            while connection.poll():
                shares[number] = connection.recv()
        await asyncio.sleep(_LOOK)


def _tell(connections: list[Connection], what: str) -> None:
    for connection in connections:
        connection.send(what)


class _Held(Processor):
    """A processor that joins its group, and reads nothing until it is told to begin."""

    begun = False

    async def _fetch(self) -> list[tuple[TopicPartition, StoredMessage]]:
        if self.begun:
            return await super()._fetch()
        await asyncio.sleep(_LOOK)
        return []


def _serve(there: Connection, job: Job, group_id: str) -> None:
    run_serving(_process(there, job, group_id))


async def _process(there: Connection, job: Job, group_id: str) -> None:
    settings = StoreSettings(
        database_url=SecretStr(job.dsn),
        archive="none",
        group_id=group_id,
        batch_size=BATCH,
        # The last messages fill no batch.
        poll_interval=0.1,
        session_timeout=6.0,
    )
    async with database(job.dsn) as ours, asyncio.timeout(ENOUGH_SECONDS):
        processor = _Held(job.kafka, settings, ours)
        settle()
        async with asyncio.TaskGroup() as group:
            group.create_task(processor.run())
            topics, told = _topics(job), 0
            while not there.poll():
                share = sum(one.topic in topics for one in processor.partitions)
                if share != told:
                    there.send(share)
                    told = share
                await asyncio.sleep(_LOOK)
            assert there.recv() == "begin"
            processor.begun = True
            await asyncio.to_thread(there.recv)
            processor.stop()

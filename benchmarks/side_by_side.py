"""Several processors of one group, each in a process of its own, at one job."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from pydantic import SecretStr

from benchmarks.ingesting import BATCH, ENOUGH_SECONDS, Job, database
from benchmarks.own_process import new_process
from result_store.event_loop import run_serving
from result_store.garbage import settle
from result_store.metrics import StoreMetrics
from result_store.processor import Processor
from result_store.settings import StoreSettings

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from aiokafka import TopicPartition

    from workflow_events.dead_letters import StoredMessage

__all__ = ["rate_side_by_side"]

_LOOK = 0.005
"""Seconds between two looks at what is assigned."""


async def rate_side_by_side(job: Job, processors: int) -> float:
    """Messages a second, from when each processor has its share of the partitions, and none has read, until all are stored."""
    return await asyncio.to_thread(_rate, job, processors)


def _rate(job: Job, processors: int) -> float:
    group_id = f"measured-{uuid.uuid4().hex}"
    with ExitStack() as stack:
        connections = [
            stack.enter_context(new_process(_serve, job, group_id, preload=__name__)) for _ in range(processors)
        ]
        _wait(connections, lambda shares: all(shares) and sum(shares) == len(_topics(job)) * job.kafka.topic_partitions)
        for connection in connections:
            connection.send("begin")
        began = time.perf_counter()
        _wait(connections, lambda stored: sum(stored) >= job.events)
        seconds = time.perf_counter() - began
        for connection in connections:
            connection.send("stop")
    return job.events / seconds


def _topics(job: Job) -> list[str]:
    return [job.kafka.workflow_events_topic, job.kafka.workflow_results_topic, job.kafka.workflow_progress_topic]


def _wait(connections: list[Connection], enough: Callable[[list[int]], bool]) -> None:
    """Wait until what each has told last is enough.

    Raises:
        EOFError: one has died.
        TimeoutError: it took too long.
    """
    told = [0] * len(connections)
    end = time.monotonic() + ENOUGH_SECONDS
    while not enough(told):
        ready = wait(connections, timeout=max(0.0, end - time.monotonic()))
        if not ready:
            raise TimeoutError(f"not within {ENOUGH_SECONDS} s: the processors have told {told}")
        for number, connection in enumerate(connections):
            if connection in ready:
                told[number] = connection.recv()


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
        processor = _Held(job.kafka, settings, ours, metrics=_Telling(there))
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


class _Telling(StoreMetrics):
    """Tells how many messages are stored."""

    def __init__(self, there: Connection) -> None:
        super().__init__()
        self._there = there
        self._so_far = 0

    def saved(self, seconds: float, messages: int, changed: int) -> None:
        super().saved(seconds, messages, changed)
        self._so_far += messages
        self._there.send(self._so_far)

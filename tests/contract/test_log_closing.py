"""A reader that is told to end while it closes its connection ends."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from workflow_events import KafkaSettings
from workflow_events.replies import topic_log

TURNS = 40
"""Closing takes fewer turns of the event loop on an idle broker."""


@pytest.fixture(autouse=True)
def _collect_what_is_left_here() -> Iterator[None]:
    yield
    gc.collect()


async def test_a_cancellation_at_any_moment_of_closing_is_not_lost(embedded_settings: KafkaSettings) -> None:
    topic = embedded_settings.workflow_results_topic
    for turns in range(TURNS):
        # Given a task that begins to close the log that it has read
        closing = asyncio.Event()

        async def read(closing: asyncio.Event = closing) -> None:
            async with topic_log.open_log(embedded_settings, topic) as consumer:
                topic_log.assign_at(consumer, topic, dict.fromkeys(topic_log.partitions(consumer, topic), 0))
                await consumer.getmany(timeout_ms=1)
                closing.set()
            await asyncio.sleep(3600)  # as a reader waits for more to do

        task = asyncio.create_task(read())
        await closing.wait()
        # When it is cancelled so many turns of the event loop later
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        # Then it ends
        done, _ = await asyncio.wait({task}, timeout=20)
        assert done, f"the cancellation {turns} turns after it began to close was lost"
        assert task.cancelled()

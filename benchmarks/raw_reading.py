"""The baseline of all reading: plain aiokafka, which looks at nothing it reads."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from workflow_events.replies import topic_log

if TYPE_CHECKING:
    from workflow_events import KafkaSettings

__all__ = ["read_all"]


async def read_all(settings: KafkaSettings, max_records: int | None = None) -> float:
    """Read the result topic from start to end with ``getmany``; seconds from the first poll to the last record.

    Args:
        max_records: how many at a time; None, aiokafka's own default, takes all that have come.
    """
    topic = settings.workflow_results_topic
    async with topic_log.open_log(settings, topic) as consumer:
        partitions = topic_log.partitions(consumer, topic)
        total = sum((await topic_log.end(consumer, topic, partitions)).values())
        topic_log.assign_at(consumer, topic, dict.fromkeys(partitions, 0))
        began = time.perf_counter()
        seen = 0
        while seen < total:
            batches = await consumer.getmany(timeout_ms=200, max_records=max_records)
            seen += sum(map(len, batches.values()))
        return time.perf_counter() - began

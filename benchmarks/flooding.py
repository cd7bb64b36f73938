"""Strangers at a steady rate, from a process of their own."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import TYPE_CHECKING

from confluent_kafka import Producer

from benchmarks.log_filling import results

if TYPE_CHECKING:
    from workflow_events import KafkaSettings

__all__ = ["flooding"]

_DISTINCT = 2_000
_STEP_SECONDS = 0.01


def _flood(settings: KafkaSettings, rate: int, ready: Event) -> None:
    producer = Producer(
        {"bootstrap.servers": settings.bootstrap_servers, "linger.ms": 20, "queue.buffering.max.messages": 1_000_000}
    )
    messages = list(results(_DISTINCT))
    topic = settings.workflow_results_topic
    began, sent = time.monotonic(), 0
    ready.set()
    while True:
        due = int((time.monotonic() - began) * rate)
        for number in range(sent, due):
            message = messages[number % _DISTINCT]
            producer.produce(topic, message.value, message.key, headers=[*message.headers])
        sent = due
        producer.poll(0)
        if len(producer) > rate:  # a second's worth: the broker takes no more
            began, sent = time.monotonic(), 0
        time.sleep(_STEP_SECONDS)


@contextmanager
def flooding(settings: KafkaSettings, rate: int) -> Iterator[None]:
    """While the block lasts, ``rate`` results a second of about 500 bytes are published that nobody waits for."""
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    process = spawn.Process(target=_flood, args=(settings, rate, ready), daemon=True)
    process.start()
    try:
        assert ready.wait(60), "the flood did not start"
        yield
    finally:
        process.kill()
        process.join()

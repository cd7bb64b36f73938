"""Results that come while others wait for them: published by a process of its own, at a word."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import TYPE_CHECKING
from uuid import UUID

from benchmarks.log_filling import fill, results

if TYPE_CHECKING:
    from workflow_events import KafkaSettings

__all__ = ["publishing"]


def _publish(settings: KafkaSettings, ids: Sequence[UUID], count: int, ready: Event, go: Event) -> None:
    messages = list(results(count, ids))
    ready.set()
    go.wait()
    fill(settings, messages)


@contextmanager
def publishing(settings: KafkaSettings, ids: Sequence[UUID], count: int) -> Iterator[Callable[[], None]]:
    """What it gives has ``count`` results published, those of ``ids`` among them, as fast as librdkafka can.

    They are made beforehand, in the process that publishes them, so that neither costs who is measured anything.
    """
    spawn = multiprocessing.get_context("spawn")
    ready, go = spawn.Event(), spawn.Event()
    process = spawn.Process(target=_publish, args=(settings, ids, count, ready, go), daemon=True)
    process.start()
    try:
        assert ready.wait(120), "the publisher did not start"
        yield go.set
        process.join()
    finally:
        process.kill()
        process.join()

"""The suites, by the names that ``--only`` takes, in the order in which they run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from benchmarks.measuring import Figure
    from workflow_events import KafkaSettings

__all__ = ["SUITE", "Measure", "measure_of"]

Measure = Callable[["KafkaSettings", str, int, float], AsyncIterator["Figure"]]
"""Takes settings with new topics, the broker's name, the number of counted runs, and a factor on the sizes."""

_MODULES = {
    "matching": "matching",
    "latency": "latency",
    "waiters": "waiters",
    "catch-up": "catching_up",
    "sync": "synchronous",
    "guest": "guest",
    "worker": "working",
    "alternatives": "alternatives",
    "spring": "spring_kafka",
    "store-ingest": "store_ingest",
    "store-api": "store_api",
    "curves": "curves",
}

SUITE = tuple(_MODULES)


def measure_of(suite: str) -> Measure:
    """What measures a suite. Only then is its module imported: some bring LangGraph, some Airflow."""
    return cast("Measure", import_module(f"benchmarks.{_MODULES[suite]}").measure)

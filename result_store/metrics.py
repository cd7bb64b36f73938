"""What the store tells Prometheus. Callers say what has happened; only this module knows how it is counted."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Final, Literal

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["CONTENT_TYPE", "CacheOutcome", "StoreMetrics"]

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
"""The type of :meth:`StoreMetrics.exposition`."""

CacheOutcome = Literal["hit", "miss", "error"]

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_MESSAGES: Final = (1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000)


class StoreMetrics:
    """The counts and times of one process, in a registry of their own, so that several can be in one process.

    Attributes:
        registry: all of them; for whoever serves them otherwise.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._messages = Counter(
            "result_store_messages", "Messages that were stored.", ("topic", "kind"), registry=registry
        )
        self._invalid = Counter(
            "result_store_invalid_messages",
            "Messages that are none, or that the database would not take.",
            ("topic", "error_type"),
            registry=registry,
        )
        self._lag = Gauge(
            "result_store_consumer_lag",
            "Messages of a partition of ours that are not stored yet.",
            ("topic", "partition"),
            registry=registry,
        )
        self._save = Histogram(
            "result_store_save_seconds", "How long a batch took to store.", buckets=_SECONDS, registry=registry
        )
        self._batch = Histogram(
            "result_store_batch_size", "Messages that were stored together.", buckets=_MESSAGES, registry=registry
        )
        self._stored = Counter(
            "result_store_stored_events", "Rows of requests that have changed, as announced.", registry=registry
        )
        self._restarts = Counter(
            "result_store_processor_restarts",
            "Processes that died and are started again, of several that store.",
            registry=registry,
        )
        self._cache = Counter("result_store_cache_requests", "Questions to the cache.", ("outcome",), registry=registry)
        self._http = Counter(
            "result_store_http_requests", "Requests to the API.", ("method", "route", "status"), registry=registry
        )
        self._http_time = Histogram(
            "result_store_http_request_seconds",
            "How long requests to the API took.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        # Looked up with each request, and there are few.
        self._http_of = cache(self._http.labels)
        self._http_time_of = cache(self._http_time.labels)

    def taken(self, topic: str, kind: str, count: int = 1) -> None:
        """Messages of a kind were stored.

        Args:
            kind: ``request``, ``result``, ``progress``, ``dead_letter``, ``invalid``, or ``other`` for what the store has no
                use for.
        """
        self._messages.labels(topic, kind).inc(count)

    def refused(self, topic: str, error_type: str, count: int = 1) -> None:
        """Invalid messages were kept to be looked at.

        Args:
            error_type: of the :class:`~result_store.facts.InvalidFact`.
        """
        self._invalid.labels(topic, error_type).inc(count)

    def behind(self, topic: str, partition: int, messages: int) -> None:
        """How many messages of a partition are not stored yet."""
        self._lag.labels(topic, str(partition)).set(messages)

    def gone(self, topic: str, partition: int) -> None:
        """A partition is ours no more."""
        with suppress(KeyError):  # it was never told how far behind it is
            self._lag.remove(topic, str(partition))

    def saved(self, seconds: float, messages: int, changed: int) -> None:
        """A batch was stored.

        Args:
            changed: rows of requests that it changed.
        """
        self._save.observe(seconds)
        self._batch.observe(messages)
        self._stored.inc(changed)

    def restarted(self) -> None:
        """One of several processes that store has died, and is started again."""
        self._restarts.inc()

    def cached(self, outcome: CacheOutcome, count: int = 1) -> None:
        """The cache was asked."""
        self._cache.labels(outcome).inc(count)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request to the API was answered.

        Args:
            route: the template, such as ``/internal/v1/results/{correlation_id}``; never the path itself, of which there is no
                end.
        """
        self._http_of(method, route, str(status)).inc()
        self._http_time_of(route).observe(seconds)

    def exposition(self) -> bytes:
        """All of them as Prometheus reads them; of :data:`CONTENT_TYPE`."""
        return generate_latest(self.registry)

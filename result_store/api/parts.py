"""What the API and the page are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from result_store.analytics.questions import Questions
    from result_store.archive import Archive
    from result_store.cache import Cache
    from result_store.database.database import ResultDatabase
    from result_store.live import LiveFeed
    from result_store.metrics import StoreMetrics
    from result_store.settings import StoreSettings

__all__ = ["ApiParts", "Probe"]

Probe = Callable[[], Awaitable[object]]
"""Asks a dependency whether it is there; raises where it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiParts:
    """The parts, all of them started; whoever makes them closes them.

    Attributes:
        archive: None where whole messages are not kept.
        feed: what live views are told; None: there are none.
        analytics: answers the questions behind the charts; None: there are none.
        probes: what ``/readyz`` asks, by the names of the dependencies.
        optional: those of them that the store can do without, as it can without the cache.
    """

    settings: StoreSettings
    database: ResultDatabase
    cache: Cache
    metrics: StoreMetrics
    archive: Archive | None = None
    feed: LiveFeed | None = None
    analytics: Questions | None = None
    probes: Mapping[str, Probe] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()

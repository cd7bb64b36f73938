"""Which requests in flight somebody should look at, and why. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from result_store.page.words import span
from result_store.records import Phase

if TYPE_CHECKING:
    from result_store.records import RunSummary

__all__ = ["UNACCEPTED", "attention", "silence_limit"]

UNACCEPTED: Final = timedelta(seconds=60)
"""How long a request may lie before a worker takes it. A worker's start and a rebalance fit into it (docs/clocks.md)."""

_BEATS: Final = 3
"""Heartbeats that may be missed: one may be late, and the store itself reads in batches."""

_SLACK: Final = timedelta(seconds=5)


def attention(run: RunSummary, now: datetime) -> str | None:
    """What is wrong with a request in flight, in a few words; None where nothing is.

    Args:
        now: an aware time.
    """
    if run.phase is Phase.FINISHED:
        return None
    if run.deadline is not None and run.deadline < now:
        return f"past its deadline for {_since(run.deadline, now)}"
    if run.phase is Phase.REQUESTED:
        if run.requested_at is not None and now - run.requested_at > UNACCEPTED:
            return f"no worker has taken it for {_since(run.requested_at, now)}"
        return None
    limit = silence_limit(run)
    if limit is not None and run.last_heard_at is not None and now - run.last_heard_at > limit:
        return f"its worker has been silent for {_since(run.last_heard_at, now)}"
    return None


def silence_limit(run: RunSummary) -> timedelta | None:
    """How long its worker may be silent; None where it has not said how often it is to be heard."""
    if run.heartbeat_interval is None or run.heartbeat_interval <= 0:
        return None
    return timedelta(seconds=_BEATS * min(run.heartbeat_interval, 86_400.0)) + _SLACK


def _since(then: datetime, now: datetime) -> str:
    return span((now - then).total_seconds())

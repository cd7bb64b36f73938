"""Which of two versions of the same fact counts. Pure.

The store sees messages in any order and any number of times: a topic is replayed, partitions are read side by side, a worker
publishes a result again. So that the rows are the same whatever came first, every group of columns has a rank beside it, and an
upsert takes the version with the higher one (a last-writer-wins register that is ordered by what is written, not by when it
arrives: Shapiro et al., "A comprehensive study of Convergent and Commutative Replicated Data Types", 2011).

A rank is text of fixed width in ``[0-9a-f]``: a database compares it as a string of bytes, and no locale changes the order.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from workflow_events.events import ResultStatus

if TYPE_CHECKING:
    from workflow_events.events import WorkflowEvent, WorkflowResultEvent

__all__ = ["RANK_LENGTH", "microseconds", "name_rank", "progress_rank", "request_rank", "result_rank"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_ATTEMPTS: Final = 0xFFFF_FFFF
_SHIFT: Final = 1 << 63
"""Keeps times before 1970, which a foreign clock may give, below those after it."""

RANK_LENGTH: Final = 1 + 8 + 16 + 16
"""Characters of a rank."""


def microseconds(time: datetime) -> int:
    """Whole microseconds since 1970."""
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def request_rank(event: WorkflowEvent, at: datetime, raw: bytes) -> str:
    """The rank of a request: the later attempt counts, then the later time, then that its payload is there.

    Args:
        at: its time, in UTC.
    """
    return _rank(0, event.attempt, at, raw, whole=event.claim_check is None)


def result_rank(event: WorkflowResultEvent, at: datetime, raw: bytes) -> str:
    """The rank of a result: a success counts before all else, as it does for waiters; then the later attempt, the later time.

    Of two that are alike in that, one whose payload could be had from the claim check's store counts before one whose could
    not: a replay after the payload has expired takes nothing away.

    Args:
        at: its time, in UTC.
    """
    weight = int(event.status is ResultStatus.SUCCESS)
    return _rank(weight, event.attempt or 1, at, raw, whole=event.claim_check is None)


def progress_rank(event: WorkflowEvent, at: datetime, raw: bytes, *, begun: bool) -> str:
    """The rank of what a worker tells: the later attempt counts, then that the run has begun, then the later time.

    Args:
        at: its time, in UTC.
        begun: whether the event says that the run is under way, and not in line.
    """
    return f"0{_attempt(event.attempt)}{'1' if begun else '0'}{_told(at, raw, whole=True)[1:]}"


@lru_cache(maxsize=4096)
def name_rank(weight: int, workflow_id: str, workflow_run_id: str) -> str:
    """The rank of the names that a message gives its run.

    Args:
        weight: 3 for a request, 2 for a result, 1 for what a worker tells.
    """
    return f"{weight:x}" + _digest(f"{workflow_id}\0{workflow_run_id}".encode())


def _rank(weight: int, attempt: int, time: datetime, raw: bytes, *, whole: bool) -> str:
    return f"{weight:x}{_attempt(attempt)}{_told(time, raw, whole=whole)}"


def _told(time: datetime, raw: bytes, *, whole: bool) -> str:
    return f"{microseconds(time) + _SHIFT:016x}{'1' if whole else '0'}{_digest(raw)[1:]}"


@lru_cache(maxsize=64)
def _attempt(attempt: int) -> str:
    return f"{min(attempt, _MOST_ATTEMPTS):08x}"


def _digest(raw: bytes) -> str:
    """Decides between two that are alike in all else, the same way everywhere."""
    return blake2b(raw, digest_size=8).hexdigest()

"""When a waiter asks the result store, and what it makes of the answer. The pure part of the second source, for both sides.

A waiter asks where the log may not tell it: its cursor has fallen off the log, or it begins to wait long after its request, when
one question is sooner answered than days of log are read. Who asks only to be quick asks once, and not while the store is away;
who has lost its place in the log asks until there is an answer, more and more seldom.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from workflow_events import wire
from workflow_events.identifiers import timestamp_of
from workflow_events.replies.cursor import is_behind
from workflow_events.replies.records import Reply
from workflow_events.stored_runs import result_in

if TYPE_CHECKING:
    from workflow_events.errors import WorkflowEventsError
    from workflow_events.pending import PendingRequest
    from workflow_events.replies.cursor import Cursor
    from workflow_events.stored_runs import StoredRun

__all__ = ["Outage", "Question", "is_long_ago", "reply_in"]

logger = logging.getLogger(__name__)

_LONG_AGO_SECONDS = 60.0
_FIRST_AGAIN_SECONDS = 5.0
_LAST_AGAIN_SECONDS = 300.0
_REST_SECONDS = 15.0
"""How long a store that is away is left in peace by those who only ask to be quick."""


def is_long_ago(pending: PendingRequest, known_end: Cursor, now: datetime | None = None) -> bool:
    """Whether a request was made so long ago that the store is to be asked for it at once.

    Args:
        known_end: the log's end, as far as it is known. A request whose id carries no time counts as old where its cursor is not
            there.
    """
    made = timestamp_of(pending.correlation_id)
    if made is None:
        return not known_end or is_behind(pending.reply_cursor, known_end)
    return ((now or datetime.now(tz=UTC)) - made).total_seconds() > _LONG_AGO_SECONDS


def reply_in(url: str, run: StoredRun | None) -> Reply | None:
    """The reply that a stored run holds; None where it has not ended, or is not known.

    Raises:
        ResultStoreUnavailableError: the store has it and cannot give it now.
    """
    event = None if run is None else result_in(url, run)
    return None if event is None else Reply(event, None, len(wire.encode(event)))


@dataclass(slots=True, eq=False)
class Question:
    """What one waiter asks.

    Attributes:
        insists: it has lost its place in the log, and nobody else can answer.
        asked: how often it was asked.
    """

    insists: bool = False
    asked: int = 0

    def again_in(self) -> float | None:
        """Seconds until it is asked once more, after an answer that was no result; None: never.

        With jitter, so that many who lost their place together do not ask in step.
        """
        if not self.insists:
            return None
        longest = min(_LAST_AGAIN_SECONDS, _FIRST_AGAIN_SECONDS * 2.0 ** min(self.asked - 1, 16))
        return longest * random.uniform(0.75, 1.0)  # noqa: S311 - no secret


class Outage:
    """Whether the store answers, for all who ask it through one reader."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        self._until = 0.0

    def note(self, error: WorkflowEventsError, now: float) -> None:
        """A question could not be answered. It is logged when that begins."""
        said = " ".join(str(error).split()).rstrip(".")
        if self.trouble is None:
            logger.warning("waiting without the result store: %s", said)
        self.trouble = said
        self._until = now + _REST_SECONDS

    def over(self) -> None:
        """A question was answered."""
        if self.trouble is not None:
            logger.info("the result store answers again")
        self.trouble = None

    def forbids(self, question: Question, now: float) -> bool:
        """Whether a question is not worth asking now."""
        return self.trouble is not None and not question.insists and now < self._until

"""Who waits for replies, and what must come of it: the model that a reader is held against.

It knows nothing of cursors, windows and scans. It holds what was published and who waits, and asks that every waiter ends with
one answer of its own; with a time-out only where there was none to be found; and waits no longer than a healthy reader may need.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.places import place_of
from tests.unit.replies.answers import answers
from tests.unit.replies.memory_log import LoggedRecord, MemoryLog
from tests.unit.replies.virtual_time import VirtualTimeLoop
from workflow_events import PendingRequest
from workflow_events.errors import ResultTimeoutError
from workflow_events.replies.records import Reply

LATE_LOOK = 10.0
"""Seconds that one who begins to wait after the deadline may take to look at what is there."""
PATIENCE = 13.0
"""Seconds within which a reader that is let alone has read everything: the time to the next look for new
partitions; the longest backoff is shorter."""


@dataclass(eq=False)
class Asked:
    """A request that was published, and the state of the world at that time."""

    request: int
    attempt: int
    partition: int | None
    stored: bytes
    number: int
    lives: list[int]


@dataclass(eq=False)
class Waiting:
    pending: PendingRequest
    task: asyncio.Task[Reply]
    began: float
    until: float
    number: int
    """How many records had been published when the wait began."""
    awaited: set[LoggedRecord]
    """The answers that were in the log then, and must be found there."""
    late: bool
    left: bool = False
    judged: bool = False


class WaitingModel:
    """All who wait, and what they must have by now.

    Attributes:
        history: every record that was published, by the run that its result names.
        healthy_since: when the broker last came back, or the reader began anew.
        told: how many this reader has given an answer.
        timed_out: how many it has given up.
    """

    def __init__(self, log: MemoryLog, loop: VirtualTimeLoop) -> None:
        self.log = log
        self.loop = loop
        self.healthy_since = 0.0
        self.waiting: list[Waiting] = []
        self.history: dict[str, LoggedRecord] = {}
        self.told = self.timed_out = 0

    def is_healthy_now(self) -> None:
        """The broker has come back, or a reader begins anew: from now on it has its time."""
        self.healthy_since = self.loop.time()

    def begin(self, asked: Asked, mine: PendingRequest, task: asyncio.Task[Reply]) -> None:
        """Somebody begins to wait."""
        now, left = self.loop.time(), mine.remaining()
        self.waiting.append(
            Waiting(
                mine,
                task,
                now,
                now + (left if left > 0 else LATE_LOOK),
                self.log.published,
                {record for record in self.answers_to(mine) if self.lies_ahead(record, mine, asked)},
                late=left <= 0,
            )
        )

    def active(self) -> list[Waiting]:
        return [one for one in self.waiting if not one.task.done() and not one.left]

    def answers_to(self, mine: PendingRequest) -> list[LoggedRecord]:
        return [
            record
            for record in self.log.records()
            if mine.reply_partition in (None, record.partition) and answers(mine, record.value, record.headers)
        ]

    def lies_ahead(self, record: LoggedRecord, mine: PendingRequest, asked: Asked) -> bool:
        """Whether a waiter who begins now must find a record that is in the log."""
        log = self.log.partitions[record.partition]
        if record.partition >= len(asked.lives) or log.life == asked.lives[record.partition]:
            return record.number > asked.number
        return self.shows_its_age(record.partition, mine, asked)

    def shows_its_age(self, partition: int, mine: PendingRequest, asked: Asked) -> bool:
        """Whether it can be seen that a cursor's offset means another record than it did: it lies beyond the end."""
        log = self.log.partitions[partition]
        old = partition < len(asked.lives) and log.life != asked.lives[partition]
        return old and not self.log.away and mine.reply_cursor.get(partition, 0) > log.end

    def overdue(self, one: Waiting, now: float) -> list[LoggedRecord]:
        """The answers in the log that a waiter should have had by now."""
        if self.log.away:
            return []
        return [
            record
            for record in self.answers_to(one.pending)
            if (record in one.awaited or record.number > one.number)
            and max(record.published_at, self.healthy_since, self.log_settled(one)) + PATIENCE < now
        ]

    @staticmethod
    def log_settled(one: Waiting) -> float:
        """A late waiter gives up as soon as it has looked, so its patience ends where its wait begins."""
        return 0.0 if one.late else one.began

    def judge(self) -> None:
        """See whether all have what they must have by now, and nobody has what is another's."""
        now = self.loop.time()
        for one in self.waiting:
            if one.judged or one.left:
                continue
            if not one.task.done():
                assert now < one.until + 0.1, "waits after its deadline"
                assert one.late or not self.overdue(one, now), "has not been given its answer"
                continue
            one.judged = True
            error = one.task.exception()
            if error is None:
                self.told += 1
                self.check_reply(one, one.task.result())
            else:
                self.timed_out += 1
                assert isinstance(error, ResultTimeoutError), "failed for another reason than its deadline"
                assert one.pending.remaining() <= 0, "gave up before its deadline"
                assert not self.overdue(one, one.began if one.late else one.until), (
                    "gave up though its answer was there"
                )
        self.waiting = [one for one in self.waiting if not one.judged and not one.left]

    def check_reply(self, one: Waiting, reply: Reply) -> None:
        record = self.history[reply.event.workflow_run_id]
        assert answers(one.pending, record.value, record.headers), "has an answer that is not its own"
        assert place_of(reply)[1:] == (record.partition, record.offset), "was told of another place"
        assert reply.size == len(record.value or b""), "was told of another size"

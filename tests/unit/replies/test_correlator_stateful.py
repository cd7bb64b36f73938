"""The correlator and the window together, against a model, in any order of events.

The model is one list of published results and, for each waiter, the attempt and the place from which it reads. What a waiter
gets must be what that list says: its own, acceptable, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from tests.places import place_of
from tests.unit.replies.answers import ATTEMPTS, IDS, REQUESTS, SHAPES, STATUSES, answers, id_of, message
from workflow_events import PendingRequest, ResultStatus
from workflow_events.replies.correlator import Correlator, Waiter
from workflow_events.replies.cursor import is_behind, reading_from
from workflow_events.replies.records import Record as Seen
from workflow_events.replies.records import Reply
from workflow_events.replies.window import RecentRecords

PARTITIONS = 2
MOST_PARTITIONS = 4
PLACES = st.integers(0, MOST_PARTITIONS - 1)


@dataclass
class Record:
    partition: int
    offset: int
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


@dataclass(eq=False)
class Waiting:
    waiter: Waiter
    got: list[Reply]
    expected: list[Seen] = field(default_factory=list)
    left: bool = False


class Correlation(RuleBasedStateMachine):
    """A log, a reader that follows it through a bounded window, and waiters that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.log: dict[int, list[Record]] = {partition: [] for partition in range(PARTITIONS)}
        self.read = dict.fromkeys(range(PARTITIONS), 0)
        self.correlator = Correlator("t")
        self.window = RecentRecords(6 * 1024)
        self.window.start_at(self.read)
        self.all: list[Waiting] = []

    waiters = Bundle("waiters")

    @rule(
        request=IDS,
        partition=PLACES,
        status=STATUSES,
        attempt=st.none() | st.integers(1, ATTEMPTS),
        shape=SHAPES,
    )
    def publish(self, request: int, partition: int, status: ResultStatus, attempt: int | None, shape: str) -> None:
        value, headers = message(request, shape, status, attempt)
        partition %= len(self.log)
        self.log[partition].append(Record(partition, len(self.log[partition]), value, headers))

    @precondition(lambda self: len(self.log) < MOST_PARTITIONS)
    @rule()
    def grow(self) -> None:
        """The topic gets one more partition, and the reader learns of it."""
        partition = len(self.log)
        self.log[partition] = []
        self.read[partition] = 0
        self.window.start_at(self.read)

    @rule(partition=PLACES, most=st.integers(1, 4))
    def follow(self, partition: int, most: int) -> None:
        """The reader takes a batch."""
        partition %= len(self.log)
        start = self.read[partition]
        batch = self.log[partition][start : start + most]
        if batch:
            self.window.append(partition, batch)
            self.correlator.feed(batch)
            self.expect(batch)
            self.read[partition] += len(batch)

    @rule(
        target=waiters,
        request=st.integers(0, REQUESTS - 1),
        attempt=st.integers(1, ATTEMPTS),
        back=st.integers(0, 6),
        only=st.none() | PLACES,
        unnamed=st.booleans(),
    )
    def wait(self, request: int, attempt: int, back: int, only: int | None, unnamed: bool) -> Waiting:  # noqa: FBT001
        """A waiter comes, its cursor at or behind the end of the log, for all partitions or for one."""
        cursor = {partition: max(0, len(records) - back) for partition, records in self.log.items()}
        if unnamed:
            del cursor[len(cursor) - 1]
        if only is not None:
            only %= len(self.log)
        pending = PendingRequest(
            correlation_id=id_of(request),
            workflow_id="w",
            workflow_run_id="r",
            attempt=attempt,
            reply_topic="t",
            reply_partition=only,
            reply_cursor=cursor,
            deadline=datetime.max.replace(tzinfo=UTC),
        )
        got: list[Reply] = []
        waiting = Waiting(self.correlator.register(pending, got.append), got)
        self.all.append(waiting)
        start = reading_from(cursor, only, self.read)
        if not is_behind(start, self.read):
            return waiting
        past = [
            record
            for partition, records in self.log.items()
            for record in records[start.get(partition, 0) : self.read[partition]]
        ]
        if self.window.covers(start):
            found = self.window.find(waiting.waiter.key)
            for seen in found:
                self.correlator.offer(seen, waiting.waiter.key)
            held = [self.log[seen.partition][seen.offset] for seen in found]
            self.expect(held)
            assert all(record in held for record in past if self.answers(pending, record)), "lacks what it covers"
        else:
            self.correlator.feed(past)
            self.expect(past)
        return waiting

    @rule(waiting=consumes(waiters))
    def leave(self, waiting: Waiting) -> None:
        """A waiter is cancelled or runs out of time."""
        self.correlator.forget(waiting.waiter)
        waiting.left = True

    @rule(partition=PLACES, back=st.integers(1, 5))
    def rewind(self, partition: int, back: int) -> None:
        """The reader crashes and reads some of the log again."""
        partition %= len(self.log)
        self.read[partition] = max(0, self.read[partition] - back)
        self.window.start_at(self.read)

    def expect(self, batch: Sequence[Seen]) -> None:
        for waiting in self.all:
            if waiting.left or waiting.expected:
                continue
            waiting.expected = [record for record in batch if self.answers(waiting.waiter.pending, record)][:1]

    @staticmethod
    def answers(pending: PendingRequest, record: Seen) -> bool:
        return answers(pending, record.value, list(record.headers))

    @invariant()
    def every_waiter_has_what_the_log_says(self) -> None:
        for waiting in self.all:
            places = [place_of(reply)[1:] for reply in waiting.got]
            assert places == [(record.partition, record.offset) for record in waiting.expected]
            assert self.correlator.is_waiting(waiting.waiter) == (not waiting.got and not waiting.left)


TestCorrelation = Correlation.TestCase
TestCorrelation.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)

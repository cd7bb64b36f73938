"""The whole reply reader against a model, in any order of events: its tail, window, correlator, catch-up scan and deadlines.

The broker is a log in memory and time is virtual, so Hypothesis decides on the order of everything. The model knows nothing of
cursors, windows and scans. It holds what was published and who waits, and asks that every waiter ends with one answer of its own;
with a time-out only where there was none to be found; and waits no longer than a healthy reader may need.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.replies.answers import ATTEMPTS, IDS, REQUESTS, SHAPES, STATUSES, answers, message
from tests.unit.replies.memory_log import LoggedRecord, MemoryLog
from tests.unit.replies.virtual_time import VirtualTimeLoop
from workflow_events import KafkaSettings, PendingRequest, ResultStatus, pending
from workflow_events.errors import ResultTimeoutError
from workflow_events.replies import topic_log
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.replies.records import Reply

PARTITIONS = 2
MOST_PARTITIONS = 4
WINDOW_BYTES = 6 * 1024
TIMEOUT = 120.0
LATE_LOOK = 10.0
"""Seconds that one who begins to wait after the deadline may take to look at what is there."""
PATIENCE = 20.0
"""Seconds within which a reader that is let alone has read everything: the longest backoff, then the look for new partitions."""


class SmallReader(ReplyReader):
    """A reader that remembers some ten records."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        super().__init__(settings, topic, window_bytes=WINDOW_BYTES)


@dataclass(eq=False)
class Asked:
    """A request that was published, and the state of the world at that time."""

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


class Reading(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.log = MemoryLog(PARTITIONS)
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(topic_log, "open_log", self.log.open)
        self.patch.setattr(pending, "datetime", self.loop.calendar())
        self.settings = KafkaSettings()
        # The reader says much of a broker that comes and goes; what asyncio says is still heard.
        self.logger = logging.getLogger("workflow_events")
        self.level = self.logger.level
        self.logger.setLevel(logging.CRITICAL)
        self.healthy_since = 0.0
        self.waiting: list[Waiting] = []
        self.history: dict[str, LoggedRecord] = {}

    @initialize(away=st.booleans(), refuses=st.booleans(), fetch_size=st.integers(1, 5))
    def begin(self, away: bool, refuses: bool, fetch_size: int) -> None:  # noqa: FBT001
        self.log.away = away
        self.log.refuses = refuses
        self.log.fetch_size = fetch_size
        self.open()

    asked = Bundle("asked")

    # The requesters.

    @rule(
        target=asked,
        request=st.integers(0, REQUESTS - 1),
        attempt=st.integers(1, ATTEMPTS),
        partition=st.none() | st.integers(0, MOST_PARTITIONS - 1),
        from_reader=st.booleans(),
    )
    def ask(self, request: int, attempt: int, partition: int | None, from_reader: bool) -> Asked:  # noqa: FBT001
        """A request is published, its cursor taken from the reader or from the topic's end, and stored as JSON."""
        cursor = (self.reader.cursor() if from_reader else {}) or self.log.ends()
        if partition is not None:
            partition %= len(cursor)
            cursor = {partition: cursor[partition]}
        stored = PendingRequest(
            correlation_id=UUID(int=request),
            workflow_id="w",
            workflow_run_id="r",
            attempt=attempt,
            reply_topic="t",
            reply_partition=partition,
            reply_cursor=cursor,
            deadline=self.loop.now() + timedelta(seconds=TIMEOUT),
        )
        return Asked(stored.model_dump_json().encode(), self.log.published, [log.life for log in self.log.partitions])

    @rule(asked=asked)
    def wait(self, asked: Asked) -> None:
        """Somebody waits for a request: the first, one more, or one who takes it up again, perhaps after its deadline."""
        mine = PendingRequest.from_json(asked.stored)
        self.waiting.append(
            Waiting(
                mine,
                self.loop.run(self.expect(mine)),
                self.loop.time(),
                self.loop.time() + (mine.remaining() if mine.remaining() > 0 else LATE_LOOK),
                self.log.published,
                {record for record in self.answers_to(mine) if self.lies_ahead(record, mine, asked)},
                late=mine.remaining() <= 0,
            )
        )

    async def expect(self, mine: PendingRequest) -> asyncio.Task[Reply]:
        expectation = self.reader.expect(mine)
        expectation.__enter__()

        async def reply() -> Reply:
            try:
                return await expectation.reply()
            finally:
                expectation.__exit__(None, None, None)

        return self.loop.create_task(reply())

    @precondition(lambda self: self.active())
    @rule(which=st.integers(0))
    def leave(self, which: int) -> None:
        """A waiter is cancelled."""
        active = self.active()
        one = active[which % len(active)]
        self.dismiss(one)

    # The responders.

    @rule(
        request=IDS,
        partition=st.integers(0, MOST_PARTITIONS - 1),
        status=STATUSES,
        attempt=st.none() | st.integers(1, ATTEMPTS),
        shape=SHAPES,
        copies=st.integers(1, 3),
    )
    def publish(
        self, request: int, partition: int, status: ResultStatus, attempt: int | None, shape: str, copies: int
    ) -> None:
        """A result, a stranger's result or something broken, once or again and again."""
        for _ in range(copies):
            run = str(self.log.published + 1)
            value, headers = message(request, shape, status, attempt, run=run)
            self.history[run] = self.log.publish(
                partition % len(self.log.partitions), value, headers, now=self.loop.time()
            )

    # The broker.

    @rule()
    def broker_goes(self) -> None:
        self.log.away = True

    @precondition(lambda self: self.log.away)
    @rule()
    def broker_comes(self) -> None:
        self.log.away = False
        self.healthy_since = self.loop.time()

    @rule()
    def connections_break(self) -> None:
        self.log.cuts += 1
        self.healthy_since = self.loop.time()

    @precondition(lambda self: len(self.log.partitions) < MOST_PARTITIONS)
    @rule()
    def topic_grows(self) -> None:
        self.log.grow()

    @rule(partition=st.integers(0, MOST_PARTITIONS - 1), count=st.integers(1, 8))
    def retention_takes(self, partition: int, count: int) -> None:
        self.log.cut_start(partition % len(self.log.partitions), count)

    @rule(partition=st.none() | st.integers(0, MOST_PARTITIONS - 1), count=st.integers(1, 4))
    def topic_loses_its_end(self, partition: int | None, count: int) -> None:
        """The topic is made anew, or an unclean election takes the last records of a partition.

        The reader sees it before the log has grown beyond its place again; later nobody could by offsets alone.
        """
        if partition is None:
            self.log.make_anew()
        else:
            self.log.cut_end(partition % len(self.log.partitions), count)
        if self.log.away:
            self.broker_comes()
        self.pass_time(PATIENCE)

    # The reader.

    @rule(seconds=st.sampled_from([0.0, 0.002, 0.01, 0.03, 0.3, 1.0, 12.0, PATIENCE + 1, TIMEOUT]))
    def pass_time(self, seconds: float) -> None:
        self.loop.pass_time(seconds)

    @rule(fetch_size=st.integers(1, 5))
    def fetches_bring(self, fetch_size: int) -> None:
        self.log.fetch_size = fetch_size

    @rule()
    def reader_dies(self) -> None:
        """With its process, and all who waited in it; another takes its place."""
        for one in self.active():
            self.dismiss(one)
        self.close()
        self.healthy_since = self.loop.time()
        self.open()

    def open(self) -> None:
        self.lease = SmallReader.lease(self.settings, "t")
        self.reader = self.loop.run(self.lease.__aenter__())
        self.told = self.timed_out = 0

    def close(self) -> None:
        self.loop.run(self.lease.__aexit__(None, None, None))

    def teardown(self) -> None:
        try:
            if hasattr(self, "lease"):
                for one in self.active():
                    self.dismiss(one)
                self.close()
        finally:
            self.loop.close()
            self.logger.setLevel(self.level)
            self.patch.undo()

    # The model.

    def dismiss(self, one: Waiting) -> None:
        one.left = True
        one.task.cancel()
        self.let_tasks_end()

    def let_tasks_end(self) -> None:
        """Let those run whose waiting is over; no time passes."""
        for _ in range(3):
            self.loop.pass_time(0)

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
        # The offsets mean other records than they did. That can be seen only where the cursor lies beyond the end.
        return mine.reply_cursor.get(record.partition, 0) > log.end

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

    @invariant()
    def nobody_has_a_wrong_answer_or_misses_one(self) -> None:
        self.let_tasks_end()
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
                assert not self.overdue(one, one.began if one.late else now), "gave up though its answer was there"
        self.waiting = [one for one in self.waiting if not one.judged and not one.left]

    def check_reply(self, one: Waiting, reply: Reply) -> None:
        record = self.history[reply.event.workflow_run_id]
        assert answers(one.pending, record.value, record.headers), "has an answer that is not its own"
        assert (reply.position.partition, reply.position.offset) == (record.partition, record.offset)
        assert reply.size == len(record.value or b"")

    @invariant()
    def nobody_is_told_twice_or_kept(self) -> None:
        if not hasattr(self, "lease"):
            return
        assert len(self.reader._correlator) == len(self.waiting), "keeps a waiter who has gone"
        # An answer may arrive in the very moment of the deadline, and is then told to nobody.
        assert self.told <= self.reader.counts.delivered <= self.told + self.timed_out, "told a waiter twice"


TestReading = Reading.TestCase
TestReading.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)

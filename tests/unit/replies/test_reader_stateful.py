"""The whole reply reader against a model, in any order of events: its tail, window, correlator, catch-up scan and deadlines.

The broker is a log in memory and time is virtual, so Hypothesis decides on the order of everything. What must come of it is for
the model to say (``waiting_model.py``).
"""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.replies.answers import ATTEMPTS, IDS, REQUESTS, SHAPES, STATUSES, WHOLE, id_of, message
from tests.unit.replies.memory_log import MemoryLog
from tests.unit.replies.virtual_time import VirtualTimeLoop
from tests.unit.replies.waiting_model import PATIENCE, Asked, Waiting, WaitingModel
from workflow_events import KafkaSettings, PendingRequest, ResultStatus, pending
from workflow_events.replies import tail, topic_log
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.replies.records import Reply

SETTINGS = KafkaSettings(_env_file=None)
PARTITIONS = 2
MOST_PARTITIONS = 4
WINDOW_BYTES = 1200
TIMEOUT = 40.0
FETCH_SIZES = st.sampled_from([1, 2, 5])
PLACES = st.integers(0, MOST_PARTITIONS - 1)
LONGEST_BACKOFF = 5.0


class SmallReader(ReplyReader):
    """A reader that remembers two or three records."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        super().__init__(settings, topic, window_bytes=WINDOW_BYTES)


class Reading(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.log = MemoryLog(PARTITIONS)
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(topic_log, "open_log", self.log.open)
        self.patch.setattr(pending, "datetime", self.loop.calendar())
        self.patch.setattr(tail, "_POLL_MS", 2000)  # fewer steps in idle time
        # The reader says much of a broker that comes and goes; what asyncio says is still heard.
        self.logger = logging.getLogger("workflow_events")
        self.level = self.logger.level
        self.logger.setLevel(logging.CRITICAL)
        self.model = WaitingModel(self.log, self.loop)

    @initialize(away=st.booleans(), refuses=st.booleans(), fetch_size=FETCH_SIZES)
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
        partition=st.none() | PLACES,
        from_reader=st.booleans(),
        waits=st.booleans(),
    )
    def ask(self, request: int, attempt: int, partition: int | None, from_reader: bool, waits: bool) -> Asked:  # noqa: FBT001
        """A request is published, its cursor taken from the reader or from the topic's end, and stored as JSON."""
        asked = self.request(
            request, attempt, partition, (self.reader.cursor() if from_reader else {}) or self.log.ends()
        )
        if waits:
            self.wait(asked)
        return asked

    def request(self, request: int, attempt: int, partition: int | None, cursor: dict[int, int]) -> Asked:
        if partition is not None:
            partition %= len(cursor)
            cursor = {partition: cursor[partition]}
        mine = PendingRequest(
            correlation_id=id_of(request),
            workflow_id="w",
            workflow_run_id="r",
            attempt=attempt,
            reply_topic="t",
            reply_partition=partition,
            reply_cursor=cursor,
            deadline=self.loop.now() + timedelta(seconds=TIMEOUT),
        )
        lives = [log.life for log in self.log.partitions]
        return Asked(request, attempt, partition, mine.model_dump_json().encode(), self.log.published, lives)

    @rule(asked=asked)
    def wait(self, asked: Asked) -> None:
        """Somebody waits for a request: the first, one more, or one who takes it up again, perhaps after its deadline."""
        mine = PendingRequest.from_json(asked.stored)
        self.model.begin(asked, mine, self.loop.run(self.expect(mine)))
        if any(self.model.shows_its_age(partition, mine, asked) for partition in self.log.ends()):
            # It must be looked at before the log has grown to the cursor.
            self.loop.pass_time(LONGEST_BACKOFF + 1)

    async def expect(self, mine: PendingRequest) -> asyncio.Task[Reply]:
        expectation = self.reader.expect(mine)
        expectation.__enter__()

        async def reply() -> Reply:
            try:
                return await expectation.reply()
            finally:
                expectation.__exit__(None, None, None)

        return self.loop.create_task(reply())

    @precondition(lambda self: self.model.active())
    @rule(which=st.integers(0))
    def leave(self, which: int) -> None:
        """A waiter is cancelled."""
        active = self.model.active()
        one = active[which % len(active)]
        self.dismiss(one)

    # The responders.

    @rule(
        asked=asked,
        partition=PLACES,
        status=st.just(ResultStatus.SUCCESS) | STATUSES,
        of_attempt=st.sampled_from(["this", "the last", "none"]),
        shape=SHAPES,
        copies=st.integers(1, 2),
    )
    def reply(
        self, asked: Asked, partition: int, status: ResultStatus, of_attempt: str, shape: str, copies: int
    ) -> None:
        """A request is answered, perhaps twice, perhaps by the failure of an attempt before it."""
        where = partition if asked.partition is None else asked.partition
        attempt = {"this": asked.attempt, "the last": max(1, asked.attempt - 1), "none": None}[of_attempt]
        self.publish(asked.request, where, status, attempt, shape, copies)

    @rule(
        request=IDS,
        partition=PLACES,
        status=STATUSES,
        attempt=st.none() | st.integers(1, ATTEMPTS),
        shape=SHAPES,
        copies=st.integers(1, 4),
    )
    def publish(
        self, request: int, partition: int, status: ResultStatus, attempt: int | None, shape: str, copies: int
    ) -> None:
        """Any result, a stranger's or an old attempt's too, whole or broken, once or again and again."""
        for _ in range(copies):
            run = str(self.log.published + 1)
            value, headers = message(request, shape, status, attempt, run=run)
            self.model.history[run] = self.log.publish(
                partition % len(self.log.partitions), value, headers, now=self.loop.time()
            )

    def answer(self, asked: Asked, partition: int) -> None:
        """A good answer, of each status and shape in turn."""
        where = partition if asked.partition is None else asked.partition
        turn = self.log.published
        status, shape = list(ResultStatus)[turn % len(ResultStatus)], WHOLE[turn % len(WHOLE)]
        self.publish(asked.request, where, status, asked.attempt, shape, 1)

    @rule(
        target=asked,
        request=st.integers(0, REQUESTS - 1),
        partition=PLACES,
        strangers=st.lists(PLACES, max_size=4),
        seconds=st.sampled_from([0.01, 1.0]),
        gap=st.sampled_from([0.0, 0.01, 0.025, 0.03, 0.035]),
        away=st.booleans(),
    )
    def be_taken_up_later(
        self, request: int, partition: int, strangers: list[int], seconds: float, gap: float, *, away: bool
    ) -> Asked:
        """The normal case of deferred tasks: the answers are there, and others after them, before anybody waits.

        Of two that are taken up, the second may come while a scan for the first is under way, and the broker may go.
        """
        one, two = (self.request((request + step) % REQUESTS, 1, None, self.log.ends()) for step in (0, 1))
        self.answer(two, partition)
        self.answer(one, partition)
        for place in strangers:
            self.publish(REQUESTS, place, ResultStatus.SUCCESS, None, "ours", 1)
        self.loop.pass_time(seconds)
        self.wait(one)
        self.loop.pass_time(gap)
        self.wait(two)
        self.log.away = self.log.away or away
        return one

    # The broker.

    @precondition(lambda self: not self.log.away)
    @rule(asked=asked, gap=st.sampled_from([0.0, 0.01, 0.022, 0.03]))
    def broker_goes(self, asked: Asked, gap: float) -> None:
        """Perhaps in the middle of a scan."""
        self.wait(asked)
        self.loop.pass_time(gap)
        self.log.away = True

    @precondition(lambda self: self.log.away)
    @rule()
    def broker_comes(self) -> None:
        self.log.away = False
        self.model.is_healthy_now()

    @rule(asked=asked, partition=PLACES)
    def connections_break(self, asked: Asked, partition: int) -> None:
        """Just when an answer comes."""
        self.log.break_connections()
        self.model.is_healthy_now()
        self.answer(asked, partition)

    @precondition(lambda self: len(self.log.partitions) < MOST_PARTITIONS)
    @rule(asked=asked, strangers=st.integers(0, 4), seconds=st.sampled_from([0.0, PATIENCE]))
    def topic_grows(self, asked: Asked, strangers: int, seconds: float) -> None:
        """An answer is the first record in the new partition, and one more comes to wait for it."""
        partition = len(self.log.partitions)
        self.log.grow()
        self.answer(asked, partition)
        for _ in range(strangers):
            self.publish(REQUESTS, partition, ResultStatus.SUCCESS, None, "ours", 1)
        self.loop.pass_time(seconds)
        self.wait(asked)

    @precondition(lambda self: self.log.published)
    @rule(partition=PLACES, count=st.integers(1, 8))
    def retention_takes(self, partition: int, count: int) -> None:
        self.log.cut_start(partition % len(self.log.partitions), count)

    @precondition(lambda self: any(self.log.ends().values()))
    @rule(
        other=asked,
        gap=st.sampled_from([0.0, 0.035, 0.045]),
        asked=asked,
        partition=st.none() | PLACES,
        count=st.integers(1, 4),
        seconds=st.sampled_from([0.0, 1.0]),
    )
    def topic_loses_its_end(
        self, other: Asked, gap: float, asked: Asked, partition: int | None, count: int, seconds: float
    ) -> None:
        """The topic is made anew, or an unclean election takes the last records of a partition; perhaps in the middle of a scan.

        The reader sees it before the log has grown beyond its place again; later nobody could by offsets alone. Then a
        request from before is answered and waited for once more, and one from after it.
        """
        self.wait(other)
        self.loop.pass_time(gap)
        if partition is None:
            self.log.make_anew()
        else:
            self.log.cut_end(partition % len(self.log.partitions), count)
        if self.log.away:
            self.broker_comes()
        self.loop.pass_time(PATIENCE)
        after = self.request(asked.request, 1, None, self.reader.cursor() or self.log.ends())
        self.answer(asked, count)
        self.loop.pass_time(seconds)
        self.wait(asked)
        self.wait(after)

    # The reader.

    @rule(seconds=st.sampled_from([0.0, 0.002, 0.01, 0.03, 0.3, 1.0, 3.0, PATIENCE + 1, TIMEOUT]))
    def pass_time(self, seconds: float) -> None:
        self.loop.pass_time(seconds)

    @precondition(lambda self: self.model.waiting)
    @rule(fetch_size=FETCH_SIZES)
    def reader_dies(self, fetch_size: int) -> None:
        """With its process, and all who waited in it; another takes its place."""
        for one in self.model.active():
            self.dismiss(one)
        self.close()
        self.model.is_healthy_now()
        self.log.fetch_size = fetch_size
        self.open()

    def open(self) -> None:
        self.lease = SmallReader.lease(SETTINGS, "t")
        self.reader = self.loop.run(self.lease.__aenter__())
        self.model.told = self.model.timed_out = 0

    def close(self) -> None:
        self.loop.run(self.lease.__aexit__(None, None, None))

    def teardown(self) -> None:
        try:
            if hasattr(self, "lease"):
                if sys.exc_info()[0] is None:
                    self.end_well()
                for one in self.model.active():
                    self.dismiss(one)
                self.close()
        finally:
            self.loop.close()
            self.logger.setLevel(self.level)
            self.patch.undo()

    def end_well(self) -> None:
        """Whatever has happened: with the broker there and some time, all have what is theirs."""
        self.log.away = False
        self.model.is_healthy_now()
        self.loop.pass_time(PATIENCE + 1)
        self.nobody_has_a_wrong_answer_or_misses_one()
        self.nobody_is_told_twice_or_kept()

    def dismiss(self, one: Waiting) -> None:
        one.left = True
        one.task.cancel()
        self.let_tasks_end()

    def let_tasks_end(self) -> None:
        """Let those run whose waiting is over; no time passes."""
        for _ in range(3):
            self.loop.pass_time(0)

    @invariant()
    def nobody_has_a_wrong_answer_or_misses_one(self) -> None:
        self.let_tasks_end()
        self.model.judge()

    @invariant()
    def nobody_is_told_twice_or_kept(self) -> None:
        if not hasattr(self, "lease"):
            return
        assert len(self.reader._correlator) == len(self.model.waiting), "keeps a waiter who has gone"
        # An answer may arrive in the very moment of the deadline, and is then told to nobody.
        told, timed_out = self.model.told, self.model.timed_out
        assert told <= self.reader.counts.delivered <= told + timed_out, "told a waiter twice"


TestReading = Reading.TestCase
TestReading.settings = settings(max_examples=400, stateful_step_count=40, deadline=None)

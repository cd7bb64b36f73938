"""The correlator and the window together, against a model, in any order of events.

The model is one list of published results and, for each waiter, the attempt and the place from which it reads. What a waiter
gets must be what that list says: its own, acceptable, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from workflow_events import PendingRequest, ResultStatus, WorkflowResultEvent, wire
from workflow_events.replies.correlator import Correlator, Waiter
from workflow_events.replies.cursor import is_behind
from workflow_events.replies.records import Record as Seen
from workflow_events.replies.records import Reply
from workflow_events.replies.window import RecentRecords

PARTITIONS = 3
REQUESTS = 4


@dataclass
class Record:
    partition: int
    offset: int
    value: bytes
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
        request=st.integers(0, REQUESTS),
        partition=st.integers(0, PARTITIONS - 1),
        status=st.sampled_from(ResultStatus),
        attempt=st.none() | st.integers(1, 3),
        shape=st.sampled_from(["ours", "bare", "forged", "broken"]),
    )
    def publish(self, request: int, partition: int, status: ResultStatus, attempt: int | None, shape: str) -> None:
        event = WorkflowResultEvent(
            correlation_id=UUID(int=request), workflow_id="w", workflow_run_id="r", status=status, attempt=attempt
        )
        message = wire.result_message(event, topic="t")
        value, headers = message.value, list(message.headers)
        if shape == "bare":
            headers = []
        elif shape == "forged":
            headers = list(
                wire.result_message(event.model_copy(update={"correlation_id": UUID(int=99)}), topic="t").headers
            )
            headers[0] = ("correlation-id", str(UUID(int=(request + 1) % REQUESTS)).encode())
        elif shape == "broken":
            value = value[:-5]
        self.log[partition].append(Record(partition, len(self.log[partition]), value, list(headers)))

    @rule(partition=st.integers(0, PARTITIONS - 1), most=st.integers(1, 4))
    def follow(self, partition: int, most: int) -> None:
        """The reader takes a batch."""
        start = self.read[partition]
        batch = self.log[partition][start : start + most]
        if batch:
            self.window.append(partition, batch)
            self.correlator.feed(batch)
            self.expect(batch)
            self.read[partition] += len(batch)

    @rule(target=waiters, request=st.integers(0, REQUESTS - 1), attempt=st.integers(1, 3), back=st.integers(0, 6))
    def wait(self, request: int, attempt: int, back: int) -> Waiting:
        """A waiter comes, its cursor at or behind the end of the log."""
        cursor = {partition: max(0, len(records) - back) for partition, records in self.log.items()}
        pending = PendingRequest(
            correlation_id=UUID(int=request),
            workflow_id="w",
            workflow_run_id="r",
            attempt=attempt,
            reply_topic="t",
            reply_cursor=cursor,
            deadline=datetime.max.replace(tzinfo=UTC),
        )
        got: list[Reply] = []
        waiting = Waiting(self.correlator.register(pending, got.append), got)
        self.all.append(waiting)
        if is_behind(cursor, self.read):
            past = [
                record
                for partition, records in self.log.items()
                for record in records[cursor[partition] : self.read[partition]]
            ]
            if self.window.covers(cursor):
                held = self.window.find(waiting.waiter.key)
                for record in held:
                    self.correlator.offer(record, waiting.waiter.key)
                self.expect(held)
            else:
                self.correlator.feed(past)
                self.expect(past)
        return waiting

    @rule(waiting=consumes(waiters))
    def leave(self, waiting: Waiting) -> None:
        """A waiter is cancelled or runs out of time."""
        self.correlator.forget(waiting.waiter)
        waiting.left = True

    @rule(partition=st.integers(0, PARTITIONS - 1), back=st.integers(1, 5))
    def rewind(self, partition: int, back: int) -> None:
        """The reader crashes and reads some of the log again."""
        self.read[partition] = max(0, self.read[partition] - back)
        self.window.start_at(self.read)

    def expect(self, batch: Sequence[Seen]) -> None:
        for waiting in self.all:
            if waiting.left or waiting.expected:
                continue
            waiting.expected = [record for record in batch if self.answers(waiting.waiter.pending, record)][:1]

    @staticmethod
    def answers(pending: PendingRequest, record: Seen) -> bool:
        """The contract, said once more and without the code under test."""
        named = dict(record.headers).get("correlation-id")
        try:
            event = WorkflowResultEvent.model_validate_json(record.value or b"")
        except ValueError:
            return False
        mine = str(pending.correlation_id)
        if str(event.correlation_id) != mine or (named is not None and named.decode() != mine):
            return False
        return event.status == "success" or event.attempt is None or event.attempt >= pending.attempt

    @invariant()
    def every_waiter_has_what_the_log_says(self) -> None:
        for waiting in self.all:
            places = [(reply.position.partition, reply.position.offset) for reply in waiting.got]
            assert places == [(record.partition, record.offset) for record in waiting.expected]
            assert self.correlator.is_waiting(waiting.waiter) == (not waiting.got and not waiting.left)


TestCorrelation = Correlation.TestCase
TestCorrelation.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

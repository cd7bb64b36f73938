"""Clocks and deadlines to the second, in virtual time: both topics are logs in memory, and hours pass in milliseconds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.unit.replies.memory_log import MemoryConsumer, MemoryLog
from tests.unit.replies.virtual_time import VirtualTimeLoop
from workflow_events import (
    KafkaSettings,
    NotAcceptedError,
    PendingRequest,
    ResultTimeoutError,
    WorkerSilentError,
    WorkflowEvent,
    WorkflowResultEvent,
    pending,
    wire,
)
from workflow_events.events import EventType, WorkflowEventPayload
from workflow_events.progress import beginning
from workflow_events.progress.following import follow
from workflow_events.progress.group_report import GroupReport
from workflow_events.progress.worker_group import WorkerGroup
from workflow_events.replies import tail, topic_log
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.replies.records import Reply

SETTINGS = KafkaSettings(_env_file=None)
ABOUT = UUID(int=0xABC)


class World:
    """A cluster with two topics, and one requester."""

    def __init__(self) -> None:
        self.loop = VirtualTimeLoop()
        self.results = MemoryLog(1)
        self.progress = MemoryLog(1)
        self.look_up_seconds = 0.004

    @asynccontextmanager
    async def open(self, _: KafkaSettings, topic: str) -> AsyncIterator[MemoryConsumer]:
        log = self.progress if topic == SETTINGS.workflow_progress_topic else self.results
        async with log.open() as consumer:
            yield consumer

    async def look_up(self, _: object) -> dict[int, int]:
        """The brokers' time index says: from the start."""
        await asyncio.sleep(self.look_up_seconds)
        self.progress.ask()
        return {0: 0}

    def away(self, *, away: bool) -> None:
        for log in (self.results, self.progress):
            log.away = away
            log.break_connections()

    def ask(
        self,
        timeout: float,
        *,
        attempt: int = 1,
        accepted_timeout: float | None = None,
        heartbeat_timeout: float | None = None,
    ) -> PendingRequest:
        asked = PendingRequest(
            correlation_id=ABOUT,
            workflow_id="w",
            workflow_run_id="r",
            attempt=attempt,
            reply_topic=SETTINGS.workflow_results_topic,
            reply_cursor=self.results.ends(),
            deadline=self.loop.now() + timedelta(seconds=timeout),
        )
        return asked.with_clocks(accepted_timeout=accepted_timeout, heartbeat_timeout=heartbeat_timeout)

    def say(self, what: EventType, *, attempt: int = 1, **data: Any) -> None:
        event = WorkflowEvent(
            event_type=what,
            source="langgraph",
            timestamp=self.loop.now(),
            workflow_id="w",
            workflow_run_id="r",
            attempt=attempt,
            payload=WorkflowEventPayload(data={"correlation_id": str(ABOUT), "worker": "w-1", **data}),
        )
        message = wire.event_message(event, topic="p")
        headers: list[tuple[str, bytes | None]] = [(wire.HEADER_CORRELATION_ID, wire.correlation_key(ABOUT))]
        self.progress.publish(0, message.value, headers, now=self.loop.time())

    def answer(self) -> None:
        result = WorkflowResultEvent(correlation_id=ABOUT, workflow_id="w", workflow_run_id="r")
        message = wire.result_message(result, topic="t")
        self.results.publish(0, message.value, [*message.headers], now=self.loop.time())

    async def wait(self, mine: PendingRequest) -> Reply:
        async with ReplyReader.lease(SETTINGS, mine.reply_topic) as reader:
            return await reader.wait(mine)

    async def outcome(self, mine: PendingRequest, *doing: Coroutine[Any, Any, None]) -> tuple[object, float]:
        """What the wait ends with, and when."""
        others = [asyncio.create_task(one) for one in doing]
        try:
            ended: object = await self.wait(mine)
        except ResultTimeoutError as error:
            ended = error
        when = self.loop.time()
        for one in others:
            one.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        return ended, when


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World()
    monkeypatch.setattr(topic_log, "open_log", world.open)
    monkeypatch.setattr(beginning.PastCursors, "for_request", lambda _, about: world.look_up(about))
    monkeypatch.setattr(pending, "datetime", world.loop.calendar())
    monkeypatch.setattr(tail, "_POLL_MS", 2000)  # fewer steps in idle time

    async def report(_: WorkerGroup, timeout: float) -> GroupReport:
        await asyncio.sleep(timeout / 2)
        return GroupReport("g", "t", "Empty", 0, 3)

    monkeypatch.setattr(WorkerGroup, "report", report)
    logging.getLogger("workflow_events").setLevel(logging.CRITICAL)
    yield world
    logging.getLogger("workflow_events").setLevel(logging.NOTSET)
    world.loop.close()


async def beating(world: World, every: float, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(every)
        world.say(EventType.WORKFLOW_HEARTBEAT)


async def later(seconds: float, *doing: Any) -> None:
    await asyncio.sleep(seconds)
    for one in doing:
        one()


@pytest.mark.parametrize("away", [False, True], ids=["broker there", "broker gone"])
@pytest.mark.parametrize("timeout", [0.5, 7.0, 3600.0])
def test_a_wait_ends_within_a_second_of_its_deadline(world: World, timeout: float, away: bool) -> None:  # noqa: FBT001
    # Given a wait, and a broker that dies under it
    async def scenario() -> tuple[object, float]:
        return await world.outcome(world.ask(timeout), later(0.3, lambda: world.away(away=away)))

    # When nobody answers
    ended, when = world.loop.run(scenario())
    # Then it ends at its deadline
    assert type(ended) is ResultTimeoutError
    assert timeout <= when <= timeout + 1


@pytest.mark.parametrize("timeout", [2.0, 5.0, 600.0])
def test_a_request_that_nobody_takes_ends_within_a_second_of_its_clock(world: World, timeout: float) -> None:
    ended, when = world.loop.run(world.outcome(world.ask(3600, accepted_timeout=timeout)))
    assert isinstance(ended, NotAcceptedError)
    assert "no members, and its lag on 't' is 3" in str(ended)
    assert timeout <= when <= timeout + 1


def test_a_worker_that_freezes_ends_the_wait_within_a_second_of_its_clock(world: World) -> None:
    # Given a worker that takes the request and beats for a while
    async def scenario() -> tuple[object, float]:
        world.say(EventType.WORKFLOW_ACCEPTED, heartbeat_interval=5.0)
        return await world.outcome(
            world.ask(36000, accepted_timeout=30, heartbeat_timeout=15), beating(world, 5.0, 100)
        )

    # When it falls silent after 500 s
    ended, when = world.loop.run(scenario())
    # Then the wait ends 15 s later, and names it
    assert isinstance(ended, WorkerSilentError)
    assert (ended.worker, round(ended.silent_for)) == ("w-1", 15)
    assert 515 <= when <= 516


def test_a_run_that_beats_is_waited_for_until_its_result(world: World) -> None:
    async def scenario() -> tuple[object, float]:
        world.say(EventType.WORKFLOW_ACCEPTED)
        mine = world.ask(36000, accepted_timeout=5, heartbeat_timeout=6)
        return await world.outcome(mine, beating(world, 5.0, 2000), later(7200, world.answer))

    ended, when = world.loop.run(scenario())
    assert isinstance(ended, Reply)
    assert 7200 <= when < 7201


def test_an_outage_of_the_brokers_is_blamed_on_no_worker(world: World) -> None:
    # Given a run that beats, and brokers that are away for longer than either clock
    async def scenario() -> tuple[object, float]:
        world.say(EventType.WORKFLOW_ACCEPTED)
        return await world.outcome(
            world.ask(36000, accepted_timeout=5, heartbeat_timeout=15),
            later(20, lambda: world.away(away=True)),
            beating(world, 14.0, 1),
            later(120, lambda: world.away(away=False)),
            # What the worker publishes again, it publishes some seconds after they are back.
            later(130, lambda: world.say(EventType.WORKFLOW_HEARTBEAT), world.answer),
        )

    # When the result comes after it
    ended, when = world.loop.run(scenario())
    # Then it is had
    assert isinstance(ended, Reply)
    assert 130 <= when < 140


def test_who_takes_up_a_wait_hears_what_was_said_before_it_came(world: World) -> None:
    # Given a request that was taken long ago by a worker that still beats, and brokers that are slow to say where that stands
    world.look_up_seconds = 3.0

    async def scenario() -> tuple[object, float]:
        mine = world.ask(36000, accepted_timeout=5, heartbeat_timeout=15)
        world.say(EventType.WORKFLOW_ACCEPTED)
        await asyncio.sleep(100)
        stored = PendingRequest.from_json(mine.to_json())
        return await world.outcome(stored, beating(world, 10.0, 10), later(90, world.answer))

    # When another process waits on
    ended, _ = world.loop.run(scenario())
    # Then no clock runs out
    assert isinstance(ended, Reply)


def test_the_reply_wins_over_a_clock_although_it_takes_long_to_be_read(world: World) -> None:
    # Given a reply that lies behind many strangers', and a clock that ran out before anybody looked
    async def scenario() -> tuple[object, float]:
        mine = world.ask(36000, accepted_timeout=5)
        for _ in range(1000):
            world.results.publish(0, b"{}", [(wire.HEADER_CORRELATION_ID, b"0" * 36)], now=world.loop.time())
        world.answer()
        await asyncio.sleep(100)
        # When another process, which remembers nothing, takes up the wait
        world.results.fetch_size = 1
        return await world.outcome(mine)

    ended, when = world.loop.run(scenario())
    # Then it has the reply
    assert isinstance(ended, Reply)
    assert when > 101


def test_what_an_earlier_attempts_worker_said_before_the_retry_does_not_stop_the_retrys_clock(world: World) -> None:
    async def scenario() -> tuple[object, float]:
        world.say(EventType.WORKFLOW_ACCEPTED, attempt=1)
        await asyncio.sleep(60)
        return await world.outcome(world.ask(3600, attempt=2, accepted_timeout=5))

    ended, when = world.loop.run(scenario())
    assert isinstance(ended, NotAcceptedError)
    assert 65 <= when <= 66


def test_a_run_of_an_earlier_attempt_that_still_goes_on_stops_the_retrys_clock(world: World) -> None:
    async def scenario() -> tuple[object, float]:
        mine = world.ask(3600, attempt=2, accepted_timeout=5)

        async def beat() -> None:
            while True:
                await asyncio.sleep(2)
                world.say(EventType.WORKFLOW_HEARTBEAT, attempt=1)

        return await world.outcome(mine, beat(), later(60, world.answer))

    ended, _ = world.loop.run(scenario())
    assert isinstance(ended, Reply)


def test_a_follower_is_told_the_past_and_the_present_once_each_and_in_order(world: World) -> None:
    # Given a run of which three things were said before it is followed
    async def scenario() -> list[object]:
        mine = world.ask(3600)
        for step in range(3):
            world.say(EventType.WORKFLOW_PROGRESS, step=step)
        async with ReplyReader.lease(SETTINGS, mine.reply_topic) as reader:
            more = asyncio.create_task(
                later(0.001, *(_say(world, step) for step in range(3, 6)), *(_say(world, step) for step in range(6, 9)))
            )
            finish = asyncio.create_task(later(50, world.answer))
            told = [event.payload.data["step"] async for event in follow(reader, mine)]
            await asyncio.gather(more, finish)
            return list(told)

    # When it is followed, while more is said, to its result
    told = world.loop.run(scenario())
    # Then everything is told, once, in order
    assert told == list(range(9))


def _say(world: World, step: int) -> Any:
    return lambda: world.say(EventType.WORKFLOW_PROGRESS, step=step)


def test_a_follower_ends_at_the_deadline_with_the_brokers_gone(world: World) -> None:
    async def scenario() -> float:
        mine = world.ask(10)
        async with ReplyReader.lease(SETTINGS, mine.reply_topic) as reader:
            dying = asyncio.create_task(later(3, lambda: world.away(away=True)))
            async for _ in follow(reader, mine):
                pass
            await dying
        return world.loop.time()

    assert 10 <= world.loop.run(scenario()) <= 11

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from workflow_events.replies.deadlines import Deadlines


class Member:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.expired: list[float] = []

    def expire(self) -> None:
        self.expired.append(self.clock.now)


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time is what the test says."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    def timers(self) -> int:
        """How many are set."""
        handles: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # asyncio shows them nowhere
        return sum(not handle.cancelled() for handle in handles)

    def at(self, when: float) -> None:
        """Let everything happen that is due by ``when``."""
        self.now = when
        for _ in range(3):
            self.turn()

    def turn(self) -> None:
        self.call_soon(self.stop)
        self.run_forever()


@pytest.fixture
def clock() -> Iterator[Clock]:
    loop = Clock()
    yield loop
    loop.close()


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.0333, 1.0, 59.99])
def test_a_member_expires_once_never_early_and_late_by_a_slot_at_most(clock: Clock, seconds: float) -> None:
    deadlines = Deadlines(clock, slot=0.02)
    member = Member(clock)
    due = clock.now + seconds
    deadlines.add(member, due)
    clock.at(due - 0.0005)
    assert member.expired == []
    clock.at(due + 0.0201)
    clock.at(due + 10)
    assert len(member.expired) == 1
    assert len(deadlines) == 0


def test_a_time_that_has_passed_expires_in_the_next_turn(clock: Clock) -> None:
    deadlines = Deadlines(clock)
    member = Member(clock)
    deadlines.add(member, clock.now - 5)
    clock.at(clock.now)
    assert len(member.expired) == 1


def test_who_was_removed_does_not_expire_and_leaves_no_timer(clock: Clock) -> None:
    deadlines = Deadlines(clock)
    one, other = Member(clock), Member(clock)
    slots = [deadlines.add(member, clock.now + 60) for member in (one, other)]
    deadlines.remove(one, slots[0])
    deadlines.remove(one, slots[0])
    assert len(deadlines) == 1
    deadlines.remove(other, slots[1])
    deadlines.remove(other, slots[1])
    assert clock.timers() == 0
    clock.at(clock.now + 61)
    assert one.expired == other.expired == []


def test_members_of_one_slot_share_a_timer(clock: Clock) -> None:
    deadlines = Deadlines(clock, slot=0.02)
    for _ in range(1000):
        deadlines.add(Member(clock), clock.now + 60)
    assert clock.timers() == 1


def test_many_that_expire_together_leave_others_their_turn(clock: Clock) -> None:
    deadlines = Deadlines(clock)
    members = [Member(clock) for _ in range(1000)]
    for member in members:
        deadlines.add(member, clock.now + 1)
    seen: list[int] = []
    clock.now += 2
    while len(deadlines):
        clock.turn()
        seen.append(sum(len(member.expired) for member in members))
    assert len(seen) >= 10
    assert seen[-1] == 1000
    assert all(len(member.expired) == 1 for member in members)


def test_one_may_leave_while_its_slot_expires(clock: Clock) -> None:
    deadlines = Deadlines(clock)
    members = [Member(clock) for _ in range(300)]
    slots = [deadlines.add(member, clock.now + 1) for member in members]
    clock.now += 2
    while not any(member.expired for member in members):
        clock.turn()
    for member, slot in zip(members, slots, strict=True):
        if not member.expired:
            deadlines.remove(member, slot)
    clock.at(clock.now + 1)
    assert 0 < sum(len(member.expired) for member in members) < 300
    assert len(deadlines) == 0

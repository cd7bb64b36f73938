from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from workflow_events.replies.sync_lead import Lead
from workflow_events.testing.waiting import wait_until


class Team:
    """Threads that share a lead, and what one of them has yet to be told."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.threads = threads
        self.told = 0
        self.lead = Lead(threading.RLock(), lambda: self.told)
        self.following = 0
        self.go_on = threading.Event()

    def leads(self, *, tells: bool = False) -> Future[None]:
        """Somebody leads until it is to go on, and perhaps tells another something."""
        began = threading.Event()

        def step() -> None:
            began.set()
            assert self.go_on.wait(10)
            self.told += tells

        def run() -> None:
            with self.lead:
                self.lead.take(step)

        leading = self.threads.submit(run)
        assert began.wait(10)
        return leading

    def follows(self) -> Future[int]:
        """Somebody waits for the next call, however long it takes; what has been told by then."""

        def run() -> int:
            with self.lead:
                self.following += 1
                assert self.lead.wait(10)
                return self.told

        waiting = self.threads.submit(run)
        wait_until(lambda: self.counts_following() == 1, 10)
        return waiting

    def asks(self) -> Future[bool]:
        """Somebody asks for the lead and takes it when it is free; whether it leads then."""

        def run() -> bool:
            with self.lead, self.lead.asking():
                assert self.lead.wait_for(lambda: not self.lead.taken, 10)
                return self.lead.take(lambda: self.lead.taken)

        asking = self.threads.submit(run)
        wait_until(self.is_asked_for, 10)
        return asking

    def counts_following(self) -> int:
        with self.lead:
            return self.following

    def is_asked_for(self) -> bool:
        with self.lead:
            return self.lead.asked_for


@pytest.fixture
def team() -> Iterator[Team]:
    with ThreadPoolExecutor() as threads:
        team = Team(threads)
        yield team
        team.go_on.set()


def test_who_leads_holds_the_lead_and_not_the_lock(team: Team) -> None:
    # Given one who leads
    leading = team.leads()
    # When another looks meanwhile, then it has the lock, and sees that somebody leads
    with team.lead:
        assert team.lead.taken
    # And when the leader has ended, nobody does
    team.go_on.set()
    leading.result(10)
    assert not team.lead.taken


def test_who_follows_is_called_when_somebody_was_told(team: Team) -> None:
    leading, following = team.leads(tells=True), team.follows()
    team.go_on.set()
    leading.result(10)
    assert following.result(10) == 1


def test_who_asks_has_the_lead_as_soon_as_it_is_free(team: Team) -> None:
    leading, asking = team.leads(), team.asks()
    assert not asking.done()
    team.go_on.set()
    leading.result(10)
    assert asking.result(10)
    assert not team.lead.asked_for


def test_a_step_that_breaks_gives_the_lead_back(team: Team) -> None:
    def break_down() -> None:
        raise ConnectionError("away")

    # When a step raises, then so does taking the lead
    with team.lead, pytest.raises(ConnectionError):
        team.lead.take(break_down)
    # And another thread may have the lock
    assert not team.threads.submit(team.is_asked_for).result(10)
    assert not team.lead.taken

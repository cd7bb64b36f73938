from __future__ import annotations

from langgraph_integration.membership import Membership


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_a_lease_lasts_for_a_share_of_a_session_from_when_the_confirmed_heartbeat_was_sent() -> None:
    # Given a member
    clock = Clock()
    membership = Membership(10.0, now=clock)
    assert membership.remaining == 0.0
    membership.begin()
    assert membership.remaining == 8.0
    # When a heartbeat that was sent at 102 is confirmed at 105
    clock.time = 105.0
    membership.confirm(102.0)
    # Then the lease ends at 110, not at 113: two seconds before the broker may give the work to another
    assert membership.remaining == 5.0
    clock.time = 109.9
    held = membership.holds
    clock.time = 110.0
    assert (held, membership.holds) == (True, False)


def test_a_confirmation_that_comes_late_does_not_shorten_a_lease() -> None:
    clock = Clock()
    membership = Membership(10.0, now=clock)
    membership.confirm(104.0)
    membership.confirm(101.0)
    assert membership.remaining == 12.0


def test_a_lease_that_ended_begins_anew_with_the_next_confirmation() -> None:
    clock = Clock()
    membership = Membership(10.0, now=clock)
    clock.time = 200.0
    ended = not membership.holds
    membership.confirm(199.0)
    assert (ended, membership.holds) == (True, True)

"""The decision core of the clocks: examples, and a model that knows only what was heard when."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from workflow_events.progress.clocks import Clocks, Sign, Verdict

ACCEPTED = Sign("workflow.accepted", "w1")
BEAT = Sign("workflow.heartbeat", "w1")


def test_without_clocks_nothing_is_ever_due() -> None:
    clocks = Clocks(0.0)
    clocks.hear(ACCEPTED, 1.0)
    assert clocks.due() is None
    assert clocks.judge(math.inf) is None


def test_a_request_that_nobody_took_runs_out_at_its_time_and_not_before() -> None:
    clocks = Clocks(0.0, accepted_by=5.0)
    assert clocks.due() == 5.0
    assert clocks.judge(4.999) is None
    assert clocks.judge(5.0) is Verdict.NOT_ACCEPTED


def test_any_sign_of_a_worker_stops_the_accepted_clock_for_good() -> None:
    clocks = Clocks(0.0, accepted_by=5.0)
    clocks.hear(BEAT, 4.0)
    assert clocks.due() is None
    assert clocks.judge(1e9) is None


def test_silence_counts_from_the_last_sign() -> None:
    clocks = Clocks(0.0, accepted_by=5.0, heartbeat_timeout=10.0)
    clocks.hear(ACCEPTED, 1.0)
    clocks.hear(BEAT, 8.0)
    assert clocks.judge(17.9) is None
    assert clocks.judge(18.0) is Verdict.SILENT
    assert clocks.silent_for(18.0) == 10.0


def test_silence_before_anybody_took_the_request_is_no_workers() -> None:
    clocks = Clocks(0.0, heartbeat_timeout=10.0)
    assert clocks.judge(1e9) is None


def test_silence_does_not_count_while_this_side_could_not_hear() -> None:
    clocks = Clocks(0.0, heartbeat_timeout=10.0)
    clocks.hear(ACCEPTED, 1.0)
    clocks.listening_since(9.0)
    assert clocks.judge(18.9) is None
    assert clocks.judge(19.0) is Verdict.SILENT


def test_a_worker_that_beats_seldom_is_given_two_beats() -> None:
    clocks = Clocks(0.0, heartbeat_timeout=1.0)
    clocks.hear(Sign("workflow.accepted", "w1", interval=5.0), 0.0)
    assert clocks.due() == 10.0


@pytest.mark.parametrize("interval", [0.0, -1.0, math.inf, math.nan])
def test_an_interval_that_is_none_changes_nothing(interval: float) -> None:
    clocks = Clocks(0.0, heartbeat_timeout=1.0)
    clocks.hear(Sign("workflow.accepted", "w1", interval=interval), 0.0)
    assert clocks.due() == 1.0


def test_who_will_never_hear_says_so_by_either_clock() -> None:
    accepted, beats = Clocks(0.0, accepted_by=5.0), Clocks(0.0, heartbeat_timeout=3.0)
    accepted.deafen()
    beats.deafen()
    assert accepted.judge(5.0) is Verdict.NOT_ACCEPTED
    assert beats.judge(3.0) is Verdict.SILENT


def test_the_worker_that_took_over_is_the_one_that_is_named() -> None:
    clocks = Clocks(0.0, heartbeat_timeout=3.0)
    clocks.hear(ACCEPTED, 0.0)
    clocks.hear(Sign("workflow.accepted", "w2"), 2.0)
    clocks.hear(Sign("workflow.progress", None, "plan"), 2.5)
    assert (clocks.worker, clocks.last) == ("w2", Sign("workflow.progress", None, "plan"))


@given(st.lists(st.floats(0, 100), min_size=1).map(sorted), st.floats(0.1, 50), st.floats(0.1, 50))
def test_asking_at_its_due_time_is_enough_to_be_told(times: list[float], accepted_by: float, silence: float) -> None:
    clocks = Clocks(0.0, accepted_by=accepted_by, heartbeat_timeout=silence)
    for now in times:
        due = clocks.due()
        assert due is not None
        assert clocks.judge(due) is not None
        assert clocks.judge(math.nextafter(due, -math.inf)) is None
        clocks.hear(BEAT, now)


class Waiting(RuleBasedStateMachine):
    """One wait in virtual time. The model keeps what was heard and when this side was deaf, and knows no due times."""

    @initialize(accepted_by=st.none() | st.floats(0.5, 20), silence=st.none() | st.floats(0.5, 20))
    def begin(self, accepted_by: float | None, silence: float | None) -> None:
        self.now = 0.0
        self.accepted_by = accepted_by
        self.silence = silence
        self.clocks = Clocks(0.0, accepted_by=accepted_by, heartbeat_timeout=silence)
        self.heard: list[float] = []
        self.could_hear_from = 0.0
        self.replied = False
        self.deaf = False

    @rule(seconds=st.floats(0, 15))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(sign=st.sampled_from([ACCEPTED, BEAT, Sign("workflow.progress", "w2", "node")]))
    def a_worker_is_heard(self, sign: Sign) -> None:
        if self.deaf:
            return
        self.clocks.hear(sign, self.now)
        self.heard.append(self.now)

    @rule()
    def the_brokers_were_away_until_now(self) -> None:
        self.clocks.listening_since(self.now)
        self.could_hear_from = self.now

    @rule()
    def the_topic_turns_out_to_be_missing(self) -> None:
        if not self.heard:
            self.deaf = True
            self.clocks.deafen()

    @rule()
    def the_reply_comes(self) -> None:
        self.replied = True
        self.clocks.end()

    @invariant()
    def the_verdict_is_what_the_history_says(self) -> None:
        assert self.clocks.judge(self.now) is self.expected()
        due = self.clocks.due()
        assert (due is not None and due <= self.now) == (self.expected() is not None)

    def expected(self) -> Verdict | None:
        if self.replied:
            return None
        if not self.heard and self.accepted_by is not None:
            return Verdict.NOT_ACCEPTED if self.now >= self.accepted_by else None
        if self.silence is None or not (self.heard or self.deaf):
            return None
        quiet_since = max([self.could_hear_from, *self.heard])
        return Verdict.SILENT if self.now >= quiet_since + self.silence else None


TestWaiting = Waiting.TestCase
TestWaiting.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)

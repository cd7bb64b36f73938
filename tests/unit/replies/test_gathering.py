from __future__ import annotations

import re
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_events import InvalidEventError, PendingRequest, ResultStatus, WorkflowResultEvent
from workflow_events.replies.gathering import Gathering, WaitFor
from workflow_events.replies.records import RecordPosition, Reply


def reply(status: str = "success") -> Reply:
    event = WorkflowResultEvent(
        correlation_id=uuid4(), workflow_id="w", workflow_run_id="r", status=ResultStatus(status)
    )
    return Reply(event, RecordPosition("t", 0, 0), 1)


def pending() -> PendingRequest:
    return PendingRequest(
        correlation_id=uuid4(),
        workflow_id="w",
        workflow_run_id="r",
        reply_topic="t",
        reply_cursor={},
        deadline=datetime.max.replace(tzinfo=UTC),
    )


def test_all_waits_for_every_answer_and_keeps_their_order() -> None:
    gathering, late, early = Gathering(2), reply(), reply("error")
    gathering.add(1, early)
    assert (gathering.done, gathering.missing) == (False, [0])
    gathering.add(0, late)
    assert gathering.replies == [late, early]
    assert gathering.done
    assert gathering.satisfied


def test_first_is_the_first_success() -> None:
    gathering = Gathering(3, "first")
    gathering.add(2, reply("failure"))
    assert not gathering.done
    gathering.add(0, reply())
    assert (gathering.done, gathering.satisfied, gathering.answered) == (True, True, 2)


def test_a_quorum_that_can_no_longer_be_reached_ends_the_wait() -> None:
    gathering = Gathering(3, 2)
    gathering.add(0, reply("error"))
    assert not gathering.done
    gathering.add(1, reply("error"))
    assert (gathering.done, gathering.satisfied) == (True, False)


def test_a_second_answer_to_one_request_is_not_counted() -> None:
    gathering, first = Gathering(2, 2), reply()
    gathering.add(0, first)
    gathering.add(0, reply())
    assert (gathering.succeeded, gathering.replies[0]) == (1, first)


def test_nothing_asked_is_all_answered() -> None:
    assert Gathering(0).done


@pytest.mark.parametrize("wait_for", ["some", 0, -1, True, 1.5], ids=str)
def test_what_cannot_be_waited_for_is_refused(wait_for: WaitFor) -> None:
    with pytest.raises(InvalidEventError, match=re.escape(repr(wait_for))):
        Gathering(3, wait_for)


def test_more_successes_than_requests_are_refused() -> None:
    with pytest.raises(InvalidEventError, match="4 successes are wanted of 3 requests"):
        Gathering(3, 4)
    assert Gathering(3, 3).wait_for == 3


def test_a_timeout_tells_which_are_missing_what_came_and_how_far_was_read() -> None:
    gathering, came = Gathering(3), reply()
    gathering.add(1, came)
    asked = [pending(), pending(), pending()]
    error = gathering.timed_out(asked, read_to={0: 4}, cause="the broker is away", store="so is the database")
    assert error.missing == [asked[0], asked[2]]
    assert error.results == [None, came.event, None]
    assert (error.read_to, error.cause, error.store) == ({0: 4}, "the broker is away", "so is the database")


@given(st.data(), st.integers(1, 8))
def test_it_is_done_exactly_when_no_further_answer_can_change_the_verdict(data: st.DataObject, count: int) -> None:
    wait_for: WaitFor = data.draw(st.sampled_from(["all", "first", *range(1, count + 1)]))
    order = data.draw(st.permutations(range(count)))
    statuses = data.draw(st.lists(st.sampled_from(["success", "error"]), min_size=count, max_size=count))
    gathering = Gathering(count, wait_for)
    needed = wait_for if isinstance(wait_for, int) else {"all": count, "first": 1}[wait_for]
    for position, index in enumerate(order):
        good = sum(statuses[seen] == "success" for seen in order[:position])
        left = count - position
        over = False if wait_for == "all" else good >= needed or good + left < needed
        assert gathering.done == over
        gathering.add(index, reply(statuses[index]))
    assert gathering.done
    assert gathering.satisfied == (wait_for == "all" or statuses.count("success") >= needed)

"""The count itself: each kind of fault is seen, and what is no fault is not called one."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.chaos.counting import Tally, ran_again, ran_at_once, tally
from tests.chaos.ledger import Answer, Execution

REQUESTS = {0: "a", 1: "b"}
GOOD = [Answer(0, "a", "success", {"value": 0}, "1"), Answer(1, "b", "success", {"value": 1}, "1")]
PUBLISHED = [("a", "0"), ("b", "1")]


def count(**changes: Any) -> Tally:
    given: dict[str, Any] = {"answers": GOOD, "published": PUBLISHED, "executions": [], "stored": {}, **changes}
    return tally(
        REQUESTS, lambda n: {"value": n}, given["answers"], given["published"], given["executions"], given["stored"]
    )


def run(token: str, began: float, ended: float, worker: str = "w", node: str = "think") -> Execution:
    return Execution("a", node, token, worker, began, ended)


def test_right_answers_hold() -> None:
    assert count().holds
    assert (count().right, count().lost, count().wrong, count().double) == (2, 0, 0, 0)


def test_a_request_without_an_answer_is_lost_whether_its_waiter_gave_up_or_never_said() -> None:
    gave_up = Answer(1, "b", "lost", {"error": "ResultTimeoutError"}, "1")
    for answers in (GOOD[:1], [GOOD[0], gave_up]):
        assert not count(answers=answers).holds
        assert (count(answers=answers).lost, count(answers=answers).wrong) == (1, 0)


@pytest.mark.parametrize(
    "change",
    [{"result": {"value": 9}}, {"status": "error"}, {"request": "a"}],
    ids=["another-value", "error", "another-request"],
)
def test_an_answer_that_is_not_the_requests_own_is_wrong(change: dict[str, Any]) -> None:
    found = count(answers=[GOOD[0], dataclasses.replace(GOOD[1], **change)])
    assert (found.right, found.wrong, found.holds) == (1, 1, False)


def test_a_second_delivery_is_double() -> None:
    found = count(answers=[*GOOD, GOOD[1]])
    assert (found.double, found.holds) == (1, False)


def test_a_result_published_again_is_no_fault_and_two_different_results_are() -> None:
    again = count(published=[*PUBLISHED, ("a", "0")])
    assert (again.repeated, again.double, again.holds) == (1, 0, True)
    differing = count(published=[*PUBLISHED, ("a", "9")])
    assert (differing.double, differing.holds) == (1, False)


def test_a_node_that_begins_after_its_first_execution_was_stored_ran_again() -> None:
    executions = [run("first", 1.0, 2.0), run("second", 3.0, 4.0)]
    assert [one.token for one in ran_again(executions, {"first": 2.1, "second": 4.1})] == ["second"]
    assert not count(executions=executions, stored={"first": 2.1}).holds


def test_a_node_whose_process_died_before_it_was_stored_may_run_again() -> None:
    executions = [run("first", 1.0, 2.0), run("second", 3.0, 4.0)]
    assert ran_again(executions, {"second": 4.1}) == []
    assert count(executions=executions, stored={"second": 4.1}).unstored == 1


def test_two_executions_of_different_nodes_or_requests_have_nothing_to_do_with_each_other() -> None:
    executions = [run("first", 1.0, 2.0), run("second", 3.0, 4.0, node="write")]
    executions.append(dataclasses.replace(run("third", 3.0, 4.0), request="b"))
    assert ran_again(executions, {"first": 2.1, "second": 4.1, "third": 4.1}) == []


def test_a_node_that_runs_in_two_workers_at_once_is_told_apart() -> None:
    executions = [run("first", 1.0, 5.0, "cut off"), run("second", 3.0, 4.0, "new owner")]
    assert [one.token for one in ran_at_once(executions)] == ["second"]
    assert ran_again(executions, {"first": 5.1, "second": 4.1}) == []

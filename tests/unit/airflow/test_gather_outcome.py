from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_integration.gather_handover import Gathered
from airflow_integration.gather_outcome import summary_of, values_of
from airflow_integration.outcome import WorkflowTaskError, WorkflowTaskFailError
from workflow_events.errors import GatherTimeoutError, WorkflowResultError
from workflow_events.events import ErrorDetail, ResultStatus, WorkflowResultEvent
from workflow_events.identifiers import new_event_id
from workflow_events.pending import PendingRequest
from workflow_events.replies.gathering import WaitFor


def result(index: int, outcome: str) -> WorkflowResultEvent | None:
    """``ok``, ``passing`` and ``final`` (errors that a retry may mend, or not), ``-`` for no answer."""
    if outcome == "-":
        return None
    failed = outcome != "ok"
    return WorkflowResultEvent(
        correlation_id=new_event_id(),
        workflow_id="review",
        workflow_run_id="run-1",
        status=ResultStatus.ERROR if failed else ResultStatus.SUCCESS,
        result={} if failed else {"n": index},
        error=f"no price {index}" if failed else None,
        error_detail=ErrorDetail(type="graphs.PriceError", message=f"no price {index}", retryable=outcome == "passing")
        if failed
        else None,
    )


def gathered(outcomes: str, *, late: bool = False) -> Gathered:
    """What came of requests whose outcomes are named; ``late``: the deadline came first."""
    requests = [
        PendingRequest(
            correlation_id=new_event_id(),
            workflow_id="review",
            workflow_run_id="run-1",
            reply_topic="results",
            reply_cursor={},
            deadline=datetime(2026, 3, 1, tzinfo=UTC),
        )
        for _ in outcomes.split()
    ]
    results = [result(index, outcome) for index, outcome in enumerate(outcomes.split())]
    missing = [request for request, one in zip(requests, results, strict=True) if one is None]
    return Gathered(requests, results, GatherTimeoutError(missing, results) if late else None)


@pytest.mark.parametrize(
    "outcomes, wait_for, value",
    [
        ("ok ok ok", "all", [{"n": 0}, {"n": 1}, {"n": 2}]),
        ("- final ok", "first", [None, None, {"n": 2}]),
        ("ok - passing ok", 2, [{"n": 0}, None, None, {"n": 3}]),
        ("ok", "first", [{"n": 0}]),
    ],
)
def test_enough_successes_are_the_value_in_order(outcomes: str, wait_for: WaitFor, value: list[Any]) -> None:
    assert values_of(gathered(outcomes), wait_for) == value


@pytest.mark.parametrize(
    "outcomes, wait_for, retried",
    [
        ("ok passing ok", "all", True),
        ("ok passing final", "all", False),
        ("passing passing", "first", True),
        ("passing final", "first", True),
        ("final final", "first", False),
        ("ok passing final final", 3, False),
        ("ok passing passing final", 3, True),
        ("ok passing passing -", 3, True),
    ],
)
def test_too_many_failures_fail_the_task_and_it_is_retried_where_enough_may_yet_succeed(
    *, outcomes: str, wait_for: WaitFor, retried: bool
) -> None:
    came = gathered(outcomes)

    with pytest.raises(WorkflowTaskError) as caught:
        values_of(came, wait_for, return_partial_on_timeout=True)

    assert type(caught.value) is (WorkflowTaskError if retried else WorkflowTaskFailError)
    assert isinstance(caught.value, AirflowFailException) is not retried
    assert caught.value.results == came.results


def test_the_error_names_which_failed_and_why_and_has_all_results() -> None:
    came = gathered("ok final passing ok final passing ok")

    with pytest.raises(WorkflowTaskFailError) as caught:
        values_of(came, "all")

    message = str(caught.value)
    assert "4 of 7 requests to workflow 'review' failed, and all were to succeed" in message
    assert "these failed (counted from 0): 1-2, 4-5" in message
    assert all(f"graphs.PriceError: no price {index}" in message for index in (1, 2, 4))
    assert "no price 5" not in message
    assert "and 1 more" in message
    first = came.results[1]
    assert first is not None
    assert str(first.correlation_id) in message
    assert (caught.value.error_type, caught.value.error_message) == ("graphs.PriceError", "no price 1")
    assert isinstance(caught.value.__cause__, WorkflowResultError)
    assert caught.value.__cause__.event is first


def test_ten_thousand_failures_make_a_short_message() -> None:
    with pytest.raises(WorkflowTaskError) as caught:
        values_of(gathered("passing " * 10_000), "all")

    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize("wait_for", ["all", "first", 2])
def test_a_deadline_that_came_first_is_the_timeout_error_or_the_part_that_came(wait_for: WaitFor) -> None:
    came = gathered("- ok -" if wait_for != "first" else "- passing -", late=True)

    with pytest.raises(GatherTimeoutError, match="1 of 3 requests were answered in time") as caught:
        values_of(came, wait_for) if wait_for != "first" else values_of(came, "first")
    partial = values_of(came, wait_for, return_partial_on_timeout=True)

    assert caught.value is came.timed_out
    assert partial == [None, {"n": 1} if wait_for != "first" else None, None]


def test_a_failure_goes_before_the_deadline_and_says_who_is_missing_too() -> None:
    came = gathered("ok passing - -", late=True)

    for partial in (False, True):
        with pytest.raises(WorkflowTaskError, match=r"no price 1.*not answered by the deadline: 2-3"):
            values_of(came, "all", return_partial_on_timeout=partial)


def test_the_summary_says_how_many_answered_and_which_failed() -> None:
    assert summary_of(gathered("ok ok -")) == "2 of 3 requests are answered."
    assert summary_of(gathered("ok passing final")) == (
        "3 of 3 requests are answered; these failed (counted from 0): 1-2."
    )

"""A list of data: many requests, one task, one deferral."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, TaskDeferralTimeout, TaskDeferred
from structlog.testing import capture_logs

from airflow_integration import WorkflowOperator, WorkflowTaskError, task
from airflow_integration.identity import identity_of
from tests.integration.airflow.running import execute, execute_deferred, fire, revive
from tests.system.responder import Responder
from workflow_events.errors import GatherTimeoutError, InvalidEventError
from workflow_events.settings import KafkaSettings

MakeContext = Callable[..., dict[str, Any]]

FAILS = {"status": "error", "error": "broke"}
FAILS_FOR_GOOD = {**FAILS, "retryable": False}
SILENT = {"ignore": True}


def operator(conn_id: str, data: Any, **options: Any) -> WorkflowOperator:
    return WorkflowOperator(
        task_id="ask",
        **{"workflow_id": "w", "data": data, "timeout": 60, "workflow_events_conn_id": conn_id, **options},
    )


@pytest.fixture
def nothing_to_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deferring is refused where it could not end before the deadline; here nothing is to settle."""
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "0")
    monkeypatch.setenv("AIRFLOW__WORKFLOW_EVENTS__SETTLE_MARGIN", "0")


def outcome(run: Callable[[], Any]) -> tuple[str, Any, Any]:
    """What came of it: the value, or the error's class and message without ids and times, and the results it has."""
    try:
        return "value", run(), None
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        said = " ".join(
            part.partition(" (request ")[0].partition(" No result for request ")[0] for part in str(error).split(";")
        )
        results = [result and (result.status, result.result) for result in getattr(error, "results", ())]
        return type(error).__name__, said, results


def test_the_value_is_the_list_of_results_in_the_order_of_the_data(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    data = [{"n": 0, "delay": 0.3}, {"n": 1}, {"n": 2, "delay": 0.1}]

    assert execute(operator(conn_id, data), context()) == [{"echo": one} for one in data]


@pytest.mark.parametrize(
    "data, options, ends",
    [
        ([{"n": 0}, {"n": 1, "answer": ["ü", None, {"__type": "x"}]}], {}, "value"),
        ([{"n": 0}, {"n": 1, "size": 200_000}, {"n": 2, "size": 20_000}, {"n": 3}], {}, "value"),
        ([{"n": 0}, FAILS, {"n": 2}, FAILS], {}, "WorkflowTaskError"),
        ([{"n": 0}, FAILS, {"n": 2}, FAILS_FOR_GOOD], {}, "WorkflowTaskFailError"),
        ([{"n": 0, **SILENT}, {"n": 1, **FAILS}, {"n": 2, "delay": 0.5}], {"wait_for": "first"}, "value"),
        ([FAILS, FAILS_FOR_GOOD], {"wait_for": "first"}, "WorkflowTaskError"),
        ([FAILS_FOR_GOOD, FAILS_FOR_GOOD], {"wait_for": "first"}, "WorkflowTaskFailError"),
        ([{"n": 0}, SILENT, {"n": 2}, SILENT], {"wait_for": 2}, "value"),
        # Nobody else may answer: what comes before the second failure is a matter of who is quicker.
        ([SILENT, FAILS, FAILS, SILENT], {"wait_for": 3}, "WorkflowTaskError"),
        ([{"n": 0}, SILENT, SILENT, {"n": 3}], {"timeout": 3}, "GatherTimeoutError"),
        ([{"n": 0}, SILENT], {"timeout": 3, "return_partial_on_timeout": True}, "value"),
        ([{"n": 0}, SILENT, SILENT], {"timeout": 3, "wait_for": 2}, "GatherTimeoutError"),
        ([{"n": 0}, SILENT, FAILS], {"timeout": 3, "return_partial_on_timeout": True}, "WorkflowTaskError"),
    ],
    ids=[
        "all",
        "large among small",
        "failures",
        "a final failure",
        "the first",
        "none for the first",
        "none for the first, for good",
        "a quorum",
        "no quorum",
        "missing",
        "partial",
        "quorum missing",
        "partial with a failure",
    ],
)
def test_deferred_or_not_the_task_ends_alike(
    *,
    data: list[dict[str, Any]],
    options: dict[str, Any],
    ends: str,
    responder: Responder,
    conn_id: str,
    context: MakeContext,
    nothing_to_settle: None,
) -> None:
    here = operator(conn_id, data, deferrable=False, **options)
    deferred = operator(conn_id, data, deferrable=True, inline_wait=0, **options)

    one = outcome(lambda: execute(here, context()))
    other = outcome(lambda: execute_deferred(deferred, context()))

    assert one == other
    assert one[0] == ends
    if ends == "value":
        partial = options.get("wait_for") is not None or "return_partial_on_timeout" in options
        for asked, answer in zip(data, one[1], strict=True):
            if asked.get("ignore") or asked.get("status"):
                assert answer is None
                assert partial
            else:
                assert answer["echo"] == asked
                assert len(answer.get("padding", "")) == asked.get("size", 0)
    elif ends != "GatherTimeoutError":
        assert "counted from 0" in one[1]
        assert any(result for result in one[2])


def test_an_error_is_airflows_fail_exception_only_where_no_retry_would_help(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    with pytest.raises(AirflowFailException, match=r"failed \(counted from 0\): 1"):
        execute(operator(conn_id, [{}, FAILS_FOR_GOOD]), context())
    with pytest.raises(WorkflowTaskError, match=r"tests\.RemoteError: broke") as caught:
        execute(operator(conn_id, [{}, FAILS]), context())
    assert not isinstance(caught.value, AirflowFailException)


def test_a_missing_answer_is_named_by_its_place_with_id_topic_and_cursor(
    responder: Responder, conn_id: str, context: MakeContext, kafka_settings: KafkaSettings
) -> None:
    mine = context()

    with pytest.raises(GatherTimeoutError) as caught:
        execute(operator(conn_id, [{}, SILENT, SILENT], timeout=5), mine)

    message = str(caught.value)
    assert "1 of 3 requests were answered in time; without an answer (counted from 0): 1-2." in message
    assert str(identity_of(mine).correlation_id_of(1)) in message
    assert kafka_settings.workflow_results_topic in message
    assert "Read from {0:" in message


def test_an_empty_list_is_answered_without_asking(conn_id: str, context: MakeContext) -> None:
    # There is no broker behind this connection.
    for wait_for in ("all", "first", 3):
        task = operator("nowhere", [], wait_for=wait_for, deferrable=True)
        assert execute(task, context()) == []


def test_a_list_that_cannot_be_asked_is_told_before_anything_is_asked(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    with pytest.raises(InvalidEventError, match="4 successes are wanted of 2"):
        execute(operator(conn_id, [{}, {}], wait_for=4), context())
    with pytest.raises(TypeError, match="element 1 of 2, counted from 0, is of type str"):
        execute(operator(conn_id, [{}, "text"]), context())
    with pytest.raises(InvalidEventError, match="request 1 of 2"):
        execute(operator(conn_id, [{}, {"n": object()}]), context())
    execute(operator(conn_id, [{}]), context())
    assert len(responder.requests) == 1


def test_the_requests_say_who_asks_and_share_run_and_deadline(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    mine = context(run_id="manual__1", try_number=3)

    execute(operator(conn_id, [{"n": 0}, {"n": 1}], graph="g", metadata={"environment": "prod"}), mine)

    asked = sorted(responder.requests, key=lambda event: str(event.payload.data["n"]))
    assert [event.event_id for event in asked] == [identity_of(mine).correlation_id_of(n) for n in (0, 1)]
    assert {(event.workflow_id, event.workflow_run_id, event.payload.graph) for event in asked} == {
        ("w", "manual__1", "g")
    }
    assert {(event.attempt, event.source, event.metadata.environment) for event in asked} == {(3, "airflow", "prod")}
    assert len({event.deadline for event in asked}) == 1


def test_a_retry_asks_under_the_same_ids_and_a_clear_under_others(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    mine = context(max_tries=2)
    for changes in ({}, {"try_number": 2}, {"try_number": 3, "max_tries": 4}):
        mine["ti"].__dict__.update(changes)
        execute(operator(conn_id, [{"n": n} for n in range(5)]), mine)

    ids = [{event.event_id for event in responder.requests[begin : begin + 5]} for begin in (0, 5, 10)]
    assert ids[0] == ids[1]
    assert ids[0].isdisjoint(ids[2])
    assert [len(some) for some in ids] == [5, 5, 5]


def test_answers_that_come_at_once_need_no_deferral(responder: Responder, conn_id: str, context: MakeContext) -> None:
    task = operator(conn_id, [{"n": 0}, {"n": 1}], deferrable=True, inline_wait=20)

    assert execute(task, context()) == [{"echo": {"n": 0}}, {"echo": {"n": 1}}]


def test_answers_that_came_before_the_deferral_are_not_lost_by_it(
    responder: Responder, conn_id: str, context: MakeContext, nothing_to_settle: None
) -> None:
    data = [{"n": 0}, {"n": 1, "delay": 2}]

    assert execute_deferred(operator(conn_id, data, deferrable=True, inline_wait=1), context()) == [
        {"echo": one} for one in data
    ]


def test_one_deferral_carries_all_requests_once_and_nothing_of_the_data(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    mine = context()
    data = [{"private": f"data-{n}"} for n in range(200)]

    with pytest.raises(TaskDeferred) as caught:
        execute(operator(conn_id, data, deferrable=True, inline_wait=0), mine)

    path, arguments = caught.value.trigger.serialize()
    assert path == "airflow_integration.gather_trigger.WorkflowGatherTrigger"
    assert arguments["requests"]["correlation_ids"] == [str(identity_of(mine).correlation_id_of(n)) for n in range(200)]
    written = json.dumps(arguments)
    assert "private" not in written
    assert len(written) < 200 * 42 + 1000
    assert not caught.value.kwargs


def test_progress_is_told_in_the_tasks_log_and_in_the_triggers(
    responder: Responder,
    conn_id: str,
    context: MakeContext,
    nothing_to_settle: None,
) -> None:
    data = [{"n": n} for n in range(100)]

    for run, defer in ((execute, False), (execute_deferred, True)):
        with capture_logs() as logs:
            run(operator(conn_id, data, deferrable=defer, inline_wait=0), context())
        said = [line["event"] for line in logs]
        told = [line for line in said if "answered so far" in line]
        assert told == [f"{k} of 100 requests are answered so far." for k in range(10, 101, 10)]
        assert "100 of 100 requests are answered." in said


def test_a_thousand_requests_are_one_task(
    responder: Responder, conn_id: str, context: MakeContext, nothing_to_settle: None
) -> None:
    data = [{"n": n} for n in range(1000)]

    assert execute(operator(conn_id, data, timeout=100), context()) == [{"echo": one} for one in data]
    deferred = operator(conn_id, data, timeout=100, deferrable=True, inline_wait=0)
    assert execute_deferred(deferred, context()) == [{"echo": one} for one in data]


def test_the_decorated_functions_list_is_asked(responder: Responder, conn_id: str, context: MakeContext) -> None:
    @task.workflow(workflow_events_conn_id=conn_id, timeout=30)
    def summarise(texts: list[str], ti: Any = None) -> list[dict[str, Any]]:
        return [{"text": f"{text} of {ti.task_id}", "template": "{{ not rendered }}"} for text in texts]

    with DAG("d", schedule=None):
        made: Any = summarise(["a", "b"])

    assert execute(made.operator, context(task_id="t")) == [
        {"echo": {"text": f"{text} of t", "template": "{{ not rendered }}"}} for text in ("a", "b")
    ]


def test_the_link_leads_to_the_first_run_before_and_after_the_deferral(
    responder: Responder, conn_id: str, context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__WORKFLOW_EVENTS__RUN_URL", "https://runs/{workflow_id}/{correlation_id}")
    mine = context()
    before = operator(conn_id, [{}, {}], deferrable=True, inline_wait=0)
    after = operator(conn_id, [{}, {}])

    with pytest.raises(TaskDeferred) as caught:
        execute(before, mine)
    trigger: Any = revive(caught.value.trigger)
    trigger.settle = None
    getattr(after, caught.value.method_name)(mine, event=asyncio.run(fire(trigger)))

    assert before.run_link == after.run_link == f"https://runs/w/{identity_of(mine).correlation_id_of(0)}"


def test_a_deferral_that_no_triggerer_took_up_names_the_first_request(context: MakeContext) -> None:
    task, mine = operator("c", [{}, {}]), context()

    with pytest.raises(TaskDeferralTimeout, match=str(identity_of(mine).correlation_id_of(0))):
        task.resume_execution("__fail__", {"error": "Trigger timeout"}, mine)  # type: ignore[arg-type]

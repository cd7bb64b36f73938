"""The requester's side through Airflow's own processes, its executor, triggerer and database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.system.runs import log_of, run_to_the_end, succeeded

if TYPE_CHECKING:
    from tests.system.responder import Responder
    from workflow_events.testing.airflow import AirflowStack

pytestmark = pytest.mark.timeout(600)

DATA: list[dict[str, Any]] = [
    {"value": [1, 2.5, None, True, "ü", {"__type": "x"}]},
    {"size": 300_000},
    {"status": "failure", "error": "says no"},
    {"status": "error", "error": "it broke"},
    {"status": "error", "error": "for good", "retryable": False},
    {"status": "cancelled", "error": "stopped by hand"},
    {"status": "interrupted", "interrupts": [{"id": "1", "value": "Ship it?"}]},
]
SUCCESSES = [0, 1]


def outcome(airflow: AirflowStack, dag_id: str, run_id: str, number: int) -> tuple[str, Any]:
    state = airflow.task_states(dag_id, run_id)["ask", number]
    if state == "success":
        return state, airflow.xcom(dag_id, run_id, "ask", number)
    log = airflow.task_log(dag_id, run_id, "ask", number)
    said = [
        line.partition(" (request ")[0]
        for line in log.splitlines()
        if "Workflow 'echo'" in line and "WorkflowTask" in line
    ]
    return str(state), sorted({line[line.index("WorkflowTask") :] for line in said})


def test_deferred_or_not_a_task_ends_with_the_same_value_or_error(airflow: AirflowStack, responder: Responder) -> None:
    runs = {}
    for dag_id in ("ask_here", "ask_deferring_at_once"):
        airflow.wait_for_dag(dag_id)
        runs[dag_id] = airflow.trigger(dag_id, {"data": DATA})
    for dag_id, run_id in runs.items():
        assert airflow.wait_for_run(dag_id, run_id, timeout=300) == "failed"

    for number, data in enumerate(DATA):
        one, other = (outcome(airflow, dag_id, run_id, number) for dag_id, run_id in runs.items())
        assert one == other, data
        assert one[0] == ("success" if number in SUCCESSES else "failed"), data
        assert one[1], data
    assert airflow.xcom("ask_deferring_at_once", runs["ask_deferring_at_once"], "ask", 1)["padding"] == "x" * 300_000


def test_a_large_result_goes_neither_through_the_trigger_nor_into_the_log(
    airflow: AirflowStack, responder: Responder
) -> None:
    run_id = run_to_the_end(airflow, "ask_deferring_at_once", [{"size": 300_000}])

    log = airflow.task_log("ask_deferring_at_once", run_id, "ask", 0)
    assert "Result of request" in log
    assert "position" in log
    assert "xxxxxxxxxx" not in log


def test_a_retryable_error_is_retried_under_the_same_id_and_a_final_one_is_not(
    airflow: AirflowStack, responder: Responder
) -> None:
    airflow.wait_for_dag("ask_with_retries")
    data = [
        {"n": 0, "status": "error", "error": "again"},
        {"n": 1, "status": "error", "error": "no", "retryable": False},
    ]

    run_id = airflow.trigger("ask_with_retries", {"data": data})

    assert airflow.wait_for_run("ask_with_retries", run_id, timeout=300) == "failed"
    tries = {task["map_index"]: task["try_number"] for task in airflow.task_instances("ask_with_retries", run_id)}
    assert (tries[0], tries[1]) == (2, 1)
    asked = [event for event in responder.requests if event.workflow_run_id == run_id and event.payload.data["n"] == 0]
    assert [event.attempt for event in asked] == [1, 2]
    assert len({event.event_id for event in asked}) == 1


def test_a_cleared_task_asks_under_a_new_id(airflow: AirflowStack, responder: Responder) -> None:
    run_id = run_to_the_end(airflow, "ask_here", [{}])

    airflow.clear("ask_here", run_id, "ask")
    airflow.wait_for(lambda: len(asked_in(responder, run_id)) == 2, 120, what="the second request")
    succeeded(airflow, "ask_here", run_id)

    first, second = asked_in(responder, run_id)
    assert first.event_id != second.event_id


def test_a_list_is_asked_by_one_task_in_one_deferral(airflow: AirflowStack, responder: Responder) -> None:
    data = [{"n": 0, "size": 100_000}, *({"n": n} for n in range(1, 300))]

    run_id = run_to_the_end(airflow, "ask_many", data)

    value = airflow.xcom("ask_many", run_id, "ask")
    assert [answer["echo"] for answer in value] == data
    assert len(value[0]["padding"]) == 100_000
    log = airflow.task_log("ask_many", run_id, "ask")
    assert "300 of 300 requests are answered." in log
    assert "xxxxxxxxxx" not in log


def test_a_lists_retry_asks_again_for_what_has_failed_alone(airflow: AirflowStack, responder: Responder) -> None:
    airflow.wait_for_dag("ask_many")
    data = [{"n": 0}, {"n": 1, "status": "error", "error": "again"}, {"n": 2}]

    run_id = airflow.trigger("ask_many", {"data": data})

    assert airflow.wait_for_run("ask_many", run_id, timeout=300) == "failed"
    (ask,) = [one for one in airflow.task_instances("ask_many", run_id) if one["task_id"] == "ask"]
    assert ask["try_number"] == 2
    assert "these failed (counted from 0): 1" in log_of(airflow, ask)
    asked = [(event.payload.data["n"], event.event_id, event.attempt) for event in asked_in(responder, run_id)]
    first, second = ({n: correlation_id for n, correlation_id, attempt in asked if attempt == of} for of in (1, 2))
    assert set(first) == {0, 1, 2}
    assert second == {1: first[1]}


def test_the_sensor_finds_a_request_made_elsewhere_in_each_of_its_modes(
    airflow: AirflowStack, responder: Responder
) -> None:
    data = {"delay": 6}

    run_id = run_to_the_end(airflow, "ask_and_sense", [data])

    for task_id in ("sense", "look", "wait"):
        assert airflow.xcom("ask_and_sense", run_id, task_id) == {"echo": data}, task_id


def asked_in(responder: Responder, run_id: str) -> list[Any]:
    return [event for event in responder.requests if event.workflow_run_id == run_id]

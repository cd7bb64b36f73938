"""What Airflow itself makes of the provider: its connections, its form, its links."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.system.runs import run_to_the_end

if TYPE_CHECKING:
    from tests.system.responder import Responder
    from workflow_events.settings import KafkaSettings
    from workflow_events.testing.airflow import AirflowStack

pytestmark = [pytest.mark.timeout(600), pytest.mark.airflow_databases("sqlite")]


@pytest.mark.parametrize("conn_type", ["workflow_events", "kafka"])
def test_worker_and_triggerer_find_the_cluster_by_a_connection_in_airflows_database(
    conn_type: str, airflow: AirflowStack, responder: Responder, system_settings: KafkaSettings
) -> None:
    servers = system_settings.bootstrap_servers
    connection: dict[str, Any] = {"connection_id": "team", "conn_type": conn_type}
    if conn_type == "kafka":
        connection["extra"] = json.dumps({"bootstrap.servers": servers, "group.id": "theirs"})
    else:
        connection["host"] = servers
    airflow.rest("POST", "/connections", json=connection)
    try:
        run_id = run_to_the_end(airflow, "ask_by_connection", [{"n": 1}])
    finally:
        airflow.rest("DELETE", "/connections/team")

    assert airflow.xcom("ask_by_connection", run_id, "ask", 0) == {"echo": {"n": 1}}


def test_a_connection_that_is_not_there_fails_the_task_and_says_how_to_make_it(
    airflow: AirflowStack, responder: Responder
) -> None:
    airflow.wait_for_dag("ask_by_connection")
    run_id = airflow.trigger("ask_by_connection", {"data": [{}]})

    assert airflow.wait_for_run("ask_by_connection", run_id) == "failed"

    assert "airflow connections add team" in airflow.task_log("ask_by_connection", run_id, "ask", 0)


def test_the_form_for_connections_has_the_providers_fields(airflow: AirflowStack) -> None:
    answer = httpx.get(f"{airflow.base_url}/ui/connections/hook_meta", trust_env=False, timeout=60)

    (form,) = [hook for hook in answer.raise_for_status().json() if hook["connection_type"] == "workflow_events"]
    assert form["hook_name"] == "Workflow events (Kafka)"
    assert form["standard_fields"]["host"]["title"] == "Bootstrap servers"
    assert {"security_protocol", "sasl_mechanism", "ssl_cafile", "run_url"} <= set(form["extra_fields"])


def test_the_task_links_to_its_run(airflow: AirflowStack, responder: Responder) -> None:
    run_id = run_to_the_end(airflow, "ask_deferring_at_once", [{"n": 1}])

    links = airflow.rest(
        "GET",
        f"/dags/ask_deferring_at_once/dagRuns/{run_id}/taskInstances/ask/links",
        params={"map_index": 0},
    )

    (event,) = [event for event in responder.requests if event.workflow_run_id == run_id]
    assert links["extra_links"] == {"Workflow run": f"https://runs.example.com/{event.event_id}"}


def test_the_log_of_a_deferred_task_tells_its_story(airflow: AirflowStack, responder: Responder) -> None:
    run_id = run_to_the_end(airflow, "ask_deferring_at_once", [{"n": 1}])

    log = airflow.task_log("ask_deferring_at_once", run_id, "ask", 0)

    (event,) = [event for event in responder.requests if event.workflow_run_id == run_id]
    for said in (
        f"Asked workflow 'echo' for attempt 1 of request {event.event_id}",
        f"Result of request {event.event_id}: success",
        f"The result of request {event.event_id} is success.",
    ):
        assert said in log
    assert "kafka.net" not in log, "the client's housekeeping"

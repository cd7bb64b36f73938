from __future__ import annotations

import pytest

from airflow_integration import WorkflowEventsHook
from tests.system.responder import Responder
from workflow_events.errors import ConfigurationError
from workflow_events.settings import KafkaSettings


def test_the_client_asks_on_the_connections_cluster_and_topics_as_airflow(responder: Responder, conn_id: str) -> None:
    with WorkflowEventsHook(conn_id).client() as client:
        result = client.request("w", {"n": 1}, timeout=30)

    assert result.result == {"echo": {"n": 1}}
    assert responder.requests[0].source == "airflow"


def test_a_connection_that_works_says_where_it_leads(conn_id: str, kafka_settings: KafkaSettings) -> None:
    works, message = WorkflowEventsHook(conn_id).test_connection()

    assert works, message
    assert kafka_settings.bootstrap_servers in message
    assert kafka_settings.workflow_results_topic in message


def test_topics_that_are_missing_are_named_with_what_makes_them(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"workflow-events://{kafka_settings.bootstrap_servers}/?workflow_results_topic=nowhere"
    monkeypatch.setenv("AIRFLOW_CONN_BROKER", f"{uri}&workflow_events_topic={kafka_settings.workflow_events_topic}")

    works, message = WorkflowEventsHook("broker").test_connection()

    assert not works
    assert "'nowhere'" in message
    assert "workflow-events topics create" in message


def test_the_run_url_comes_from_the_connection_or_else_from_the_configuration(
    responder: Responder, conn_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = WorkflowEventsHook(conn_id)
    with hook.client() as client:
        pending = client.submit("w", {}, workflow_run_id="manual__12:00+00:00")
    assert hook.run_url(pending) == ""

    monkeypatch.setenv("AIRFLOW__WORKFLOW_EVENTS__RUN_URL", "https://conf/{workflow_run_id}")
    assert hook.run_url(pending) == "https://conf/manual__12%3A00%2B00%3A00"

    monkeypatch.setenv("AIRFLOW__WORKFLOW_EVENTS__RUN_URL", "https://conf/{run}")
    with pytest.raises(ConfigurationError, match=r"\{correlation_id\}"):
        hook.run_url(pending)

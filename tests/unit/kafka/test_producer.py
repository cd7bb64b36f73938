"""The producer's arguments, and what it refuses before anything is sent."""

from __future__ import annotations

import time
from typing import Any

import pytest

from workflow_events.errors import BrokerUnavailableError, ConfigurationError, InvalidEventError
from workflow_events.events import EventSource, EventType, WorkflowEvent, WorkflowEventPayload
from workflow_events.producer import WorkflowEventProducer
from workflow_events.settings import KafkaSettings

SECRET = "hunter2-is-my-secret"
NOBODY = "127.0.0.1:1"


def test_without_arguments_it_is_the_documented_default() -> None:
    producer = WorkflowEventProducer()

    assert (producer.bootstrap_servers, producer.topic) == ("localhost:9092", "workflow-events")


def test_without_arguments_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "environment:9092")
    monkeypatch.setenv("KAFKA_WORKFLOW_EVENTS_TOPIC", "team.requests")

    producer = WorkflowEventProducer()

    assert (producer.bootstrap_servers, producer.topic) == ("environment:9092", "team.requests")


def test_arguments_win_over_settings_and_settings_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "environment:9092")
    settings = KafkaSettings(bootstrap_servers="settings:9092", client_id="mine")

    assert WorkflowEventProducer(settings=settings).bootstrap_servers == "settings:9092"
    producer = WorkflowEventProducer("argument:9092", "argument-topic", settings=settings)
    assert (producer.bootstrap_servers, producer.topic) == ("argument:9092", "argument-topic")
    assert producer.settings.client_id == "mine"


def test_constructor_arguments_are_readable_as_attributes() -> None:
    producer = WorkflowEventProducer(source="fastapi", metadata={"environment": "prod"}, reply_topic="mine")

    assert producer.source == EventSource.FASTAPI
    assert producer.metadata.environment == "prod"
    assert producer.reply_topic == "mine"


def test_it_does_not_connect_before_it_is_used() -> None:
    begun = time.monotonic()

    with WorkflowEventProducer(NOBODY) as producer:
        producer.flush()

    assert time.monotonic() - begun < 10


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="KAFKA_BOOTSTRAP_SERVERS"):
        WorkflowEventProducer("kafka://broker")
    with pytest.raises(InvalidEventError, match="environment"):
        WorkflowEventProducer(metadata={"environment": "moon"})


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param({"question": "?"}, id="data-not-wrapped"),
        pytest.param({"data": {}, "dato": 1}, id="a-misspelt-field"),
        pytest.param({"data": "text"}, id="data-no-object"),
        pytest.param({"data": {"x": object()}}, id="not-json"),
        pytest.param({"data": {"x": float("nan")}}, id="nan"),
        pytest.param([("data", {})], id="no-mapping"),
    ],
)
def test_a_payload_that_is_none_is_refused_before_a_connection_is_made(payload: Any) -> None:
    begun = time.monotonic()

    with pytest.raises(InvalidEventError, match=r"data|dict"):
        WorkflowEventProducer(NOBODY).publish_workflow_event(EventType.WORKFLOW_TRIGGERED, "w", "r", payload)

    assert time.monotonic() - begun < 10


def test_a_refused_value_does_not_show_in_the_message() -> None:
    with pytest.raises(InvalidEventError) as caught:
        WorkflowEventProducer(NOBODY).publish_workflow_event(
            EventType.WORKFLOW_TRIGGERED, "w", "r", {"data": {SECRET: object()}, "graph": ""}
        )

    assert "graph" in str(caught.value)
    assert caught.value.__context__ is None


def test_publishing_to_nobody_ends_within_its_own_time_out(caplog: pytest.LogCaptureFixture) -> None:
    producer = WorkflowEventProducer(NOBODY)
    event = WorkflowEvent(
        event_type=EventType.WORKFLOW_TRIGGERED, source=EventSource.AIRFLOW, workflow_id="w", workflow_run_id="r"
    )
    begun = time.monotonic()

    with pytest.raises(BrokerUnavailableError, match=NOBODY):
        producer.publish_workflow_event(EventType.WORKFLOW_TRIGGERED, "w", "r", WorkflowEventPayload(), timeout=0.5)
    assert producer.publish_event(event, timeout=0.5) is False

    assert time.monotonic() - begun < 12
    assert NOBODY in caplog.text


def test_its_repr_tells_where_it_publishes_and_no_secret() -> None:
    settings = KafkaSettings(
        security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN", sasl_username="alice", sasl_password=SECRET
    )

    shown = repr(WorkflowEventProducer("broker:1", settings=settings))

    assert "broker:1" in shown
    assert SECRET not in shown

"""The command line against a broker: topics, and a request that a plain client answers."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer
from typer.testing import CliRunner, Result

from workflow_events.cli import app
from workflow_events.settings import KafkaSettings
from workflow_events.testing.kafka_sources import Broker


@pytest.fixture(autouse=True)
def _logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sets up logging for its process, and here that is the tests'."""
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)


@pytest.fixture
def topics(kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    """Settings that the command finds in its environment."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    for name in ("events", "results", "progress", "control"):
        variable = f"workflow_{name}_topic"
        monkeypatch.setenv(f"KAFKA_{variable.upper()}", getattr(kafka_settings, variable))
    return kafka_settings


@pytest.fixture
def answers(topics: KafkaSettings) -> Iterator[dict[str, Any]]:
    """A worker in another language: bare JSON, no headers. The dict is what it answers beside the ids."""
    answer: dict[str, Any] = {"status": "success", "result": {"answer": 42}, "error": None}
    over = threading.Event()
    ready = threading.Event()

    def serve() -> None:
        with (
            closing(
                KafkaConsumer(bootstrap_servers=topics.bootstrap_servers, auto_offset_reset="earliest")
            ) as consumer,
            closing(KafkaProducer(bootstrap_servers=topics.bootstrap_servers)) as producer,
        ):
            consumer.subscribe([topics.workflow_events_topic])
            while not over.is_set():
                ready.set()
                for records in consumer.poll(timeout_ms=100).values():
                    for record in records:
                        asked = json.loads(record.value)
                        taken = {**asked, "event_id": str(uuid.uuid4()), "event_type": "workflow.accepted"}
                        taken["payload"] = {"data": {"correlation_id": asked["event_id"], "worker": "w-1"}}
                        producer.send(topics.workflow_progress_topic, value=json.dumps(taken).encode()).get(timeout=10)
                        body = {
                            "correlation_id": asked["event_id"],
                            "workflow_id": asked["workflow_id"],
                            "workflow_run_id": asked["workflow_run_id"],
                            "timestamp": asked["timestamp"],
                            **answer,
                        }
                        producer.send(topics.workflow_results_topic, value=json.dumps(body).encode()).get(timeout=10)

    worker = threading.Thread(target=serve)
    worker.start()
    assert ready.wait(30)
    yield answer
    over.set()
    worker.join()


def test_topics_are_made_then_found_well_then_found_to_differ(
    kafka_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = uuid.uuid4().hex[:8]
    monkeypatch.setenv("KAFKA_WORKFLOW_EVENTS_TOPIC", f"events-{tag}")
    monkeypatch.setenv("KAFKA_WORKFLOW_RESULTS_TOPIC", f"results-{tag}")
    monkeypatch.setenv("KAFKA_WORKFLOW_PROGRESS_TOPIC", f"progress-{tag}")
    monkeypatch.setenv("KAFKA_WORKFLOW_CONTROL_TOPIC", f"control-{tag}")
    brokers = ("-b", kafka_broker.bootstrap_servers)

    before = run("topics", "check", *brokers)
    made = run("topics", "create", *brokers)
    after = run("topics", "check", *brokers)
    monkeypatch.setenv("KAFKA_TOPIC_PARTITIONS", "9")
    changed = run("topics", "check", *brokers)

    assert [result.exit_code for result in (before, made, after, changed)] == [1, 0, 0, 1]
    assert f"events-{tag}.dlq" in before.stdout
    assert "missing" in before.stdout
    assert "created" in made.stdout
    assert "partitions is 6, the settings ask for 9" in changed.stdout


def test_a_request_prints_its_result(answers: dict[str, Any]) -> None:
    result = run("request", "a-workflow", "--data", '{"question": "?"}', "--timeout", "30")

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["result"] == answers["result"]


def test_a_request_tells_of_its_progress_where_it_is_asked_to(answers: dict[str, Any]) -> None:
    shown = run("request", "a-workflow", "--timeout", "30", "--progress", "--accepted-timeout", "25")
    hidden = run("request", "a-workflow", "--timeout", "30")

    assert (shown.exit_code, hidden.exit_code) == (0, 0), shown.stderr
    assert "accepted by w-1" in shown.stderr
    assert hidden.stderr == ""
    assert json.loads(shown.stdout)["result"] == json.loads(hidden.stdout)["result"] == answers["result"]


def test_a_request_that_nobody_takes_is_one_line_that_says_so(topics: KafkaSettings) -> None:
    result = run("request", "a-workflow", "--timeout", "3600", "--accepted-timeout", "0.5")

    assert result.exit_code == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert "No worker took request" in result.stderr
    assert topics.workflow_worker_group in result.stderr


def test_a_cancel_is_published_with_its_reason(topics: KafkaSettings) -> None:
    pending = run("request", "a-workflow", "--no-wait", "--timeout", "30")

    result = run("cancel", "-", "--reason", "not needed", stdin=pending.stdout)

    assert result.exit_code == 0, result.stderr
    with closing(
        KafkaConsumer(
            bootstrap_servers=topics.bootstrap_servers, auto_offset_reset="earliest", consumer_timeout_ms=30_000
        )
    ) as consumer:
        consumer.subscribe([topics.workflow_control_topic])
        event = json.loads(next(consumer).value)
    assert event["event_type"] == "workflow.cancel"
    assert event["payload"]["data"]["correlation_id"] == json.loads(pending.stdout)["correlation_id"]
    assert event["payload"]["data"]["reason"] == "not needed"


def test_an_answer_that_is_no_success_is_printed_and_exit_code_1(answers: dict[str, Any]) -> None:
    answers.update(status="failure", result={}, error="it says no")

    result = run("request", "a-workflow", "--timeout", "30")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"] == "it says no"


def test_a_request_can_be_waited_for_by_another_command(answers: dict[str, Any]) -> None:
    pending = run("request", "a-workflow", "--data", "-", "--no-wait", "--timeout", "30", stdin='{"question": "?"}')

    result = run("wait", "-", stdin=pending.stdout)

    assert (pending.exit_code, result.exit_code) == (0, 0), result.stderr
    assert json.loads(result.stdout)["correlation_id"] == json.loads(pending.stdout)["correlation_id"]


def test_no_answer_is_one_line_and_exit_code_1(topics: KafkaSettings) -> None:
    result = run("request", "a-workflow", "--timeout", "1")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    assert topics.workflow_results_topic in result.stderr


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=stdin)

"""The command ``result-store`` as a process: from messages on the topics to answers, on both backends."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from typer.testing import CliRunner, Result

from result_store.archive import Archive
from result_store.cli import app
from tests.integration.store.conftest import Backend
from workflow_events import EventSource, EventType, WorkflowEvent, WorkflowResultEvent, wire
from workflow_events.testing.processes import ServerProcess, free_port
from workflow_events.testing.waiting import wait_until
from workflow_events.transport import aio

PATIENCE = 60.0

Call = Callable[..., Result]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "result_store", *arguments]


def with_path(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "PYTHONPATH": str(Path(__file__).parents[3]), "COLUMNS": "200"}


@pytest.fixture
def call(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """Calls the command in this process, for those that end by themselves; a process of their own costs seconds each."""
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", "alembic", "uvicorn", "kafka", "aiokafka")}
    handlers = root.handlers[:]

    def calling(*arguments: str, **settings: Any) -> Result:
        with monkeypatch.context() as patch:
            for name, value in with_path(backend.environment(**settings)).items():
                patch.setenv(name, value)
            return CliRunner().invoke(app, arguments)

    yield calling
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


@contextmanager
def running(backend: Backend, *arguments: str, folder: Path, **settings: Any) -> Iterator[ServerProcess]:
    process = ServerProcess(
        "result-store",
        command("run", *arguments),
        log_file=folder / f"{'-'.join(arguments)}.log",
        environment=with_path(backend.environment(**settings)),
        directory=folder,
    )
    with process:
        yield process


def told(process: ServerProcess, what: str) -> str:
    """The address that the process says something is at."""

    def look() -> str | None:
        assert process.is_running, process.log_tail()
        found = re.search(rf"{what} at (http://[^\s\"]+)", process.log_text())
        return found[1] if found else None

    return str(wait_until(look, PATIENCE, what=process.log_tail))


def request_and_result() -> tuple[WorkflowEvent, WorkflowResultEvent]:
    request = WorkflowEvent(
        event_type=EventType.WORKFLOW_TRIGGERED,
        source=EventSource.AIRFLOW,
        workflow_id="audit",
        workflow_run_id="run-1",
        payload={"data": {"n": 1}},
        metadata={"environment": "prod", "user_id": "ann"},
    )
    result = WorkflowResultEvent(
        correlation_id=request.event_id, workflow_id="audit", workflow_run_id="run-1", result={"n": 2}, duration_ms=5.0
    )
    return request, result


async def publish(backend: Backend) -> WorkflowEvent:
    kafka = backend.kafka
    request, result = request_and_result()
    producer = await aio.start_producer(kafka)
    try:
        for message in (
            wire.result_message(result, topic=kafka.workflow_results_topic),
            wire.request_message(request, topic=kafka.workflow_events_topic),
        ):
            await aio.send(producer, message)
    finally:
        await producer.stop()
    return request


def ok(answer: httpx.Response) -> httpx.Response | None:
    return answer if answer.status_code == 200 else None


def stop(process: ServerProcess) -> int:
    """Ask it to end; its exit code."""
    process._process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]  # it runs
    return process._process.wait(PATIENCE)  # type: ignore[union-attr]


def test_one_process_stores_what_the_topics_tell_and_answers_for_it(
    backend: Backend, call: Call, tmp_path: Path
) -> None:
    # Given the store as a process, asked with a key where that is how it will be in earnest
    headers = {"X-Correlation-ID": "asked-1"}
    settings: dict[str, Any] = {}
    if backend.name == "real":
        assert call("migrate").exit_code == 0
        made = call("keys", "create", "--service", "tests")
        headers |= {"X-Internal-API-Key": made.stdout.strip(), "X-Service-ID": "tests"}
        settings = {"auth": "keys"}
    with running(backend, "--create-topics", "--migrate", folder=tmp_path, **settings) as process:
        api = told(process, "API and page")
        # When a result is published, and then its request
        request = asyncio.run(publish(backend))
        # Then the API has the answer
        with httpx.Client(base_url=api, headers=headers, timeout=30) as client:

            def answer() -> dict[str, Any] | None:
                found = client.get(f"/internal/v1/results/{request.event_id}")
                assert found.status_code in {200, 404}, found.text
                known = found.json() if found.status_code == 200 else {}
                return known if known.get("state") == "success" and known.get("requested_at") else None

            run = wait_until(answer, PATIENCE, what=process.log_tail)
            # And says that all its dependencies are well, and the page is there, for those who may see it
            ready = client.get("/readyz")
            page = client.get("/", follow_redirects=True)
        assert run is not None
        assert run["result"] == {"n": 2}
        assert run["user_id"] == "ann"
        assert ready.status_code == 200, ready.text
        wanted = {"database", "archive", "processor", "live feed"} | ({"cache"} if backend.name == "real" else set())
        assert set(ready.json()["dependencies"]) == wanted
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        # And the archive has both messages
        kept = asyncio.run(Archive(backend.settings).get(run["result_archive_key"]))
        assert json.loads(kept)["result"] == {"n": 2}
        # And what it did is counted
        metrics = httpx.get(told(process, "Metrics"), timeout=30).text
        assert f'topic="{backend.kafka.workflow_results_topic}"' in metrics
        # When it is asked to end, then it does, in good order, and has told no secret
        assert stop(process) == 0, process.log_tail()
        log = process.log_text()
    assert "Traceback" not in log
    assert '"asked-1"' in log
    assert headers.get("X-Internal-API-Key", "wfk_") not in log or backend.name == "embedded"


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_the_two_halves_run_apart_and_a_replay_fills_a_new_database(
    backend: Backend, call: Call, tmp_path: Path
) -> None:
    # Given a processor alone, which answers for its health alone
    with running(backend, "--only", "processor", "--create-topics", "--migrate", folder=tmp_path) as processor:
        health = told(processor, "Health")
        wait_until(lambda: httpx.get(f"{health}/readyz").status_code == 200, PATIENCE, what=processor.log_tail)
        assert httpx.get(f"{health}/internal/v1/results/1").status_code == 404
        request = asyncio.run(publish(backend))
        # And the API alone, beside it, whose Redis is not there
        away = {"redis_url": f"redis://127.0.0.1:{free_port()}/0"}
        with running(backend, "--only", "api", folder=tmp_path, **away) as api:
            url = told(api, "API and page")
            answer = f"{url}/internal/v1/results/{request.event_id}"
            # Then it answers all the same, and tells of it
            wait_until(lambda: httpx.get(answer).status_code == 200, PATIENCE, what=api.log_tail)
            ready = wait_until(lambda: ok(httpx.get(f"{url}/readyz")), PATIENCE, what=api.log_tail)
            assert ready is not None
            assert ready.json()["dependencies"]["cache"]["status"] == "failed"
            assert stop(api) == 0, api.log_tail()
        assert stop(processor) == 0, processor.log_tail()
    # When what the topics hold is stored once more, into a new database
    new = {"database_url": f"sqlite:///{tmp_path / 'new.db'}"}
    assert call("migrate", **new).exit_code == 0
    done = call("replay", "--from", "2020-01-01T00:00:00Z", **new)
    # Then it is all there, and a second time changes nothing
    assert done.exit_code == 0, done.stderr
    assert f"{backend.kafka.workflow_results_topic}: 1 messages" in done.stderr
    assert re.search(r"[12] rows of requests have changed", done.stderr)
    again = call("replay", "--from", "2020-01-01T00:00:00Z", **new)
    assert "0 rows of requests have changed" in again.stderr


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_a_role_that_cannot_be_built_ends_with_a_sentence_and_code_1(backend: Backend, call: Call) -> None:
    # Given a database that nobody has migrated
    done = call("run", "--create-topics")
    # Then the command says what is missing, who needs it, and what to do
    assert done.exit_code == 1, done.output
    assert "Needed by: result-store run -> processor -> database" in done.stderr
    assert "`result-store migrate`" in done.stderr


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_settings_and_options_that_do_not_hold_end_with_code_2(
    backend: Backend, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given times that are none
    for time, said in {"yesterday": "no time in ISO 8601", "2026-01-01T00:00:00": "time zone"}.items():
        refused = call("replay", "--from", time)
        assert refused.exit_code == 2
        assert said in " ".join(refused.stderr.replace("│", " ").split())
    # And a database of a kind that the store does not know
    monkeypatch.setenv("RESULT_STORE_DATABASE_URL", "mysql://u:hunter2@h/d")
    refused = CliRunner().invoke(app, ["check"])
    assert refused.exit_code == 2
    assert "RESULT_STORE_DATABASE_URL" in refused.stderr
    assert "hunter2" not in refused.output


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_a_check_says_as_much_to_programs_as_to_people(backend: Backend, call: Call) -> None:
    # Given a Redis that is not there
    away = {"redis_url": f"redis://:hunter2@127.0.0.1:{free_port()}/0"}
    assert call("migrate").exit_code == 0
    shown, printed = call("check", "--role", "api", **away), call("check", "--role", "api", "--json", **away)
    # Then both name it, with the chain, the variable, and no password
    assert shown.exit_code == printed.exit_code == 1
    assert "needed by: result-store run --only api -> api -> cache" in shown.stdout
    assert "Set RESULT_STORE_REDIS_URL" in shown.stdout
    parts = {part["part"]: part for part in json.loads(printed.stdout)["parts"]}
    assert parts["cache"]["outcome"] == "failed"
    assert "result-store run --only api -> api -> cache" in parts["cache"]["needed_by"]
    assert parts["cache"]["variables"] == ["RESULT_STORE_REDIS_URL"]
    assert "hunter2" not in shown.output + printed.output


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_keys_are_made_listed_without_their_secrets_and_revoked(backend: Backend, call: Call) -> None:
    # Given a key
    assert call("migrate").exit_code == 0
    key = call("keys", "create", "--service", "billing", "--user", "ann").stdout.strip()
    _, key_id, secret = key.split("_")
    # Then it is listed without its secret
    listed = call("keys", "list", "--json").stdout
    (known,) = json.loads(listed)
    assert (known["key_id"], known["service"], known["user_id"], known["in_force"]) == (key_id, "billing", "ann", True)
    assert secret not in listed
    # And can be taken back, once
    assert call("keys", "revoke", key_id).exit_code == 0
    again = call("keys", "revoke", key_id)
    assert again.exit_code == 1
    assert "There is no key" in again.stderr
    assert json.loads(call("keys", "list", "--json").stdout)[0]["in_force"] is False
    assert "billing" in call("keys", "list").stdout

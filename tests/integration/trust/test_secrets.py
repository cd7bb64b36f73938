"""After a run of the whole flow, in as many words as every part can log, no secret is anywhere but in the settings."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import urllib.parse
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.integration.trust import roles
from tests.integration.trust.roles import ADMIN_SECRET, GROUP
from tests.integration.worker.observing import records
from workflow_events import AsyncWorkflowClient, KafkaSettings, WorkflowClient
from workflow_events.signing_keys import new_key
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.processes import ServerProcess

# aiokafka does not wait until TLS has said good-bye, and an event loop that ends first leaves the socket to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

ROOT = Path(__file__).parents[3]
COMMAND = "from workflow_events.cli import app; app()"
KEY = new_key("trust", b"a key of thirty-two bytes, or so!")


def environment(settings: KafkaSettings) -> dict[str, str]:
    """The settings as a process finds them."""
    found = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    for name, value in dict(settings).items():
        secret = getattr(value, "get_secret_value", None)
        if value is not None:
            found[f"KAFKA_{name.upper()}"] = str(secret() if secret else value)
    return found


def ask_in_airflow(settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, str]:
    """The value of a deferred operator's task, and all that Airflow would store and show of it."""
    from airflow.sdk.exceptions import TaskDeferred

    from airflow_integration import WorkflowOperator
    from tests.integration.airflow.running import execute, fire, revive

    given = environment(settings)
    fields = ("security_protocol", "sasl_mechanism", "ssl_cafile", "signing_keys", "claim_check_store")
    topics = [name for name in KafkaSettings.model_fields if name.endswith("_topic")]
    extra = {name: given[f"KAFKA_{name.upper()}"] for name in (*fields, *topics)}
    monkeypatch.setenv(
        "AIRFLOW_CONN_GUARDED",
        json.dumps(
            {
                "conn_type": "workflow_events",
                "host": settings.bootstrap_servers,
                "login": given["KAFKA_SASL_USERNAME"],
                "password": given["KAFKA_SASL_PASSWORD"],
                "extra": extra,
            }
        ),
    )
    task: Any = WorkflowOperator(
        task_id="ask", workflow_id="add", data={"n": 5}, timeout=60, deferrable=True, inline_wait=0,
        workflow_events_conn_id="guarded",
    )  # fmt: skip
    instance = SimpleNamespace(
        dag_id="d", run_id=uuid.uuid4().hex, task_id="ask", map_index=-1, max_tries=0, try_number=1
    )
    context: dict[str, Any] = {"ti": instance, "dag_run": SimpleNamespace(start_date=datetime.now(tz=UTC))}
    with pytest.raises(TaskDeferred) as caught:
        execute(task, context)
    row = caught.value.trigger.serialize()
    trigger = revive(caught.value.trigger)
    trigger.settle = None
    event = asyncio.run(fire(trigger))
    value = task.execute_complete(context, event)
    rendered = {name: getattr(task, name) for name in task.template_fields}
    return value, f"{row!r}{event!r}{rendered!r}{task!r}{vars(task.hook).get('settings')!r}"


async def test_no_log_row_or_event_of_a_whole_run_holds_a_secret(
    guarded: ApacheKafka,
    admin: KafkaSettings,
    user: Callable[..., KafkaSettings],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given users for both sides with their passwords, a key, and a store; all of them log what they can
    caplog.set_level(logging.DEBUG)
    shared: dict[str, Any] = {"signing_keys": KEY, "claim_check_store": str(tmp_path / "payloads")}
    worker = user(admin, roles.worker(admin)).replace(**shared)
    requester = user(admin, roles.requester(admin)).replace(**shared)
    command = [sys.executable, "-m", "langgraph_integration", f"add={ROOT / 'tests/integration/trust/adding.py'}:graph"]
    process = ServerProcess(
        "the worker",
        [*command, "--log-level", "debug", "--group-id", GROUP],
        log_file=tmp_path / "worker.log",
        directory=tmp_path,
        environment=environment(worker),
    )
    said: dict[str, str] = {}
    with process:
        # When both clients, the command and a deferred task ask, and somebody with a wrong password tries to
        async with AsyncWorkflowClient(requester) as client:
            assert (await client.request("add", {"n": 1}, timeout=60)).result == {"n": 2}
        with WorkflowClient(requester) as sync_client:
            answer = await asyncio.to_thread(sync_client.request, "add", {"n": 2}, timeout=60)
            assert answer.result == {"n": 3}
        asked = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", COMMAND, "--verbose", "request", "add", "--data", '{"n": 3}'],
            capture_output=True, text=True, env=environment(requester), cwd=tmp_path, timeout=90, check=False,
        )  # fmt: skip
        assert asked.returncode == 0, asked.stderr
        value, said["what Airflow stores"] = await asyncio.to_thread(ask_in_airflow, requester, monkeypatch)
        assert value == {"n": 6}
        stranger = requester.replace(sasl_password="secret-that-is-wrong")
        with pytest.raises(Exception, match="KAFKA_SASL_PASSWORD") as refused:
            await AsyncWorkflowClient(stranger).__aenter__()
        await asyncio.to_thread(process.stop)
        said["the worker's log"] = process.log_text()
    # Then of all that was written none holds a secret
    said["the command's output"] = asked.stdout + asked.stderr
    said["this process's logs"] = caplog.text
    said["the error"] = f"{refused.value!r}{refused.value.__cause__!r}"
    said["the broker's log"] = guarded.log_text()
    said["what prints of settings"] = f"{requester!r}{requester!s}{requester.model_dump_json()}{client!r}"
    kinds = ("events", "results", "progress", "control")
    topics = [getattr(admin, f"workflow_{kind}_topic") for kind in kinds]
    topics.append(admin.dead_letter_topic(admin.workflow_events_topic))
    said["the topics"] = "".join([repr(record) for topic in topics for record in await records(admin, topic)])
    secrets = [*map(password, (worker, requester, stranger)), KEY.partition(":")[2]]
    assert "Request " in said["the worker's log"]
    assert str(answer.correlation_id) in said["the topics"]
    for where, text in said.items():
        for secret in (*secrets, *map(urllib.parse.quote, secrets)):
            assert secret not in text, f"a secret is in {where}"
    # The broker's own settings have the administrator's; nothing of ours does
    assert ADMIN_SECRET not in "".join(text for where, text in said.items() if where != "the broker's log")


def password(settings: KafkaSettings) -> str:
    assert settings.sasl_password is not None
    return settings.sasl_password.get_secret_value()

"""``dag.test()``, as people try a DAG at their desk: the trigger runs in the task's own process, in a loop of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.responder import Responder
from workflow_events.settings import KafkaSettings

pytestmark = [pytest.mark.timeout(300), pytest.mark.kafka_brokers("embedded")]

ASKING = Path(__file__).parents[2] / "system" / "dags" / "asking.py"


def test_a_deferred_task_ends_with_its_result(
    kafka_settings: KafkaSettings, responder: Responder, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ASKING.parent),
        "KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "KAFKA_WORKFLOW_EVENTS_TOPIC": kafka_settings.workflow_events_topic,
        "KAFKA_WORKFLOW_RESULTS_TOPIC": kafka_settings.workflow_results_topic,
    }
    data = [{"n": 1, "delay": 1}, {"n": 2, "size": 50_000}]

    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=environment, check=True, capture_output=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "airflow", "dags", "test", "ask_deferring_at_once"),
            *("--conf", json.dumps({"data": data})),
        ],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )

    assert "state=success" in done.stdout, done.stdout[-5000:] + done.stderr[-5000:]
    assert done.stdout.count("running trigger in line") == 2, done.stdout[-5000:]
    assert len(responder.requests) == 2

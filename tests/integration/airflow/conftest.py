"""The requester's side on a real broker, with a worker that answers as it is told."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.system.responder import Responder

if TYPE_CHECKING:
    from workflow_events.settings import KafkaSettings

# Airflow writes a configuration file into its home when it is first imported: not into the developer's.
_home = tempfile.mkdtemp(prefix="workflow-events-airflow-integration-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["AIRFLOW_HOME"] = _home


@pytest.fixture
def responder(kafka_settings: KafkaSettings) -> Iterator[Responder]:
    with Responder(kafka_settings) as running:
        yield running


@pytest.fixture
def conn_id(kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> str:
    """An Airflow connection to the broker, with the topics of this test."""
    monkeypatch.setenv(
        "AIRFLOW_CONN_BROKER",
        f"workflow-events://{kafka_settings.bootstrap_servers}/"
        f"?workflow_events_topic={kafka_settings.workflow_events_topic}"
        f"&workflow_results_topic={kafka_settings.workflow_results_topic}"
        f"&workflow_progress_topic={kafka_settings.workflow_progress_topic}"
        f"&workflow_control_topic={kafka_settings.workflow_control_topic}",
    )
    return "broker"


class TaskInstance(SimpleNamespace):
    """What the operators ask of Airflow's task instance."""

    def get_first_reschedule_date(self, context: Any) -> None:
        return None


@pytest.fixture
def context() -> Callable[..., dict[str, Any]]:
    """Make a context as a task has it; each its own task instance."""
    number = 0

    def make(**changes: Any) -> dict[str, Any]:
        nonlocal number
        number += 1
        instance: dict[str, Any] = {
            "dag_id": "d",
            "run_id": "r",
            "task_id": f"t{number}",
            "map_index": -1,
            "max_tries": 0,
            "try_number": 1,
        }
        return {
            "ti": TaskInstance(**{**instance, **changes}),
            "dag_run": SimpleNamespace(start_date=datetime.now(tz=UTC)),
        }

    return make

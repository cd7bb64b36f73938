"""Real Airflow processes, one set for each database, on a real broker.

``AIRFLOW_DATABASES`` (``sqlite,postgresql``) chooses the databases of a run. What does not depend on the database is marked with
``airflow_databases("sqlite")`` and runs on that one. All tests of one database run in one process, so that its Airflow is started
once, and stopped before the tests of another kind begin.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.system.responder import Responder
from tests.system.runs import kafka_environment
from workflow_events.testing.processes import ServerProcess

if TYPE_CHECKING:
    from workflow_events.settings import KafkaSettings
    from workflow_events.testing.airflow import AirflowStack

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "dags"
EXAMPLE_DAGS = (
    "taskflow_by_hand",
    "task_workflow",
    "deferrable_operator",
    "mapped_fan_out",
    "scatter_gather",
    "human_in_the_loop",
)
DATABASES = [name.strip() for name in os.environ.get("AIRFLOW_DATABASES", "sqlite,postgresql").split(",")]


@pytest.fixture(scope="session")
def system_settings(embedded_broker: Any) -> KafkaSettings:
    from workflow_events.testing.new_topics import settings_with_new_topics

    return settings_with_new_topics(embedded_broker.bootstrap_servers)


@pytest.fixture(scope="session")
def dags_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example DAGs and those of these tests, side by side."""
    folder = tmp_path_factory.mktemp("dags")
    for name in EXAMPLE_DAGS:
        shutil.copy(EXAMPLES / f"{name}.py", folder)
    for path in HERE.joinpath("dags").glob("*.py"):
        shutil.copy(path, folder)
    return folder


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "airflow_database" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("airflow_databases")
    names = [name for name in DATABASES if marker is None or name in marker.args]
    metafunc.parametrize("airflow_database", names, scope="session")


@pytest.fixture(scope="package")
def airflow(
    airflow_database: str,
    request: pytest.FixtureRequest,
    airflow_stack: Callable[..., AirflowStack],
    system_settings: KafkaSettings,
    dags_folder: Path,
) -> Iterator[AirflowStack]:
    database = None
    if airflow_database == "postgresql":
        database = request.getfixturevalue("postgres").create_database("airflow")
    environment = {
        **kafka_environment(system_settings),
        "AIRFLOW__WORKFLOW_EVENTS__RUN_URL": "https://runs.example.com/{correlation_id}",
    }
    with airflow_stack(dags_folder=dags_folder, database=database, environment=environment) as stack:
        yield stack


@pytest.fixture
def responder(system_settings: KafkaSettings) -> Iterator[Responder]:
    with Responder(system_settings) as running:
        yield running


@pytest.fixture
def worker(system_settings: KafkaSettings, tmp_path: Path) -> Iterator[ServerProcess]:
    """A worker with the graphs of these tests, whose checkpoints outlive it."""
    program = Path(sys.executable).with_name("workflow-worker")
    environment = {
        **os.environ,
        **kafka_environment(system_settings),
        "WORKFLOW_WORKER_CHECKPOINTER": f"sqlite:///{tmp_path / 'checkpoints.db'}",
        "WORKFLOW_WORKER_HEARTBEAT_INTERVAL": "0.5",
    }
    server = ServerProcess(
        "the worker",
        [program, "--config", HERE / "graphs" / "langgraph.json"],
        log_file=tmp_path / "worker.log",
        environment=environment,
        directory=tmp_path,
    )
    server.start()
    try:
        yield server
    finally:
        server.stop(20)

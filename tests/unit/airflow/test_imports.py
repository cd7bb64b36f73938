"""What Airflow pays for parsing a DAG file; each in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import airflow_integration

DAGS = Path(airflow_integration.__file__).parents[1] / "dags"
PRINT_MODULES = """
import sys
print(sorted({name.partition('.')[0] for name in sys.modules} & {'kafka', 'aiokafka', 'pydantic_settings'}))
"""


def imported_by(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code + PRINT_MODULES], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.splitlines()[-1]


def test_importing_the_package_imports_no_part_of_it() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import airflow_integration, sys; print('airflow' in sys.modules, 'pydantic' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.split() == ["False", "False"]


def test_importing_everything_that_dag_files_use_imports_no_kafka_client_and_no_settings() -> None:
    code = "from airflow_integration import WorkflowOperator, WorkflowResultSensor, WorkflowResultPoller, task, workflow_task"

    assert imported_by(code) == "[]"


@pytest.mark.parametrize(
    "name", ["task_workflow", "deferrable_operator", "mapped_fan_out", "scatter_gather", "taskflow_by_hand"]
)
def test_parsing_an_example_dag_imports_no_kafka_client(name: str) -> None:
    code = f"import runpy; runpy.run_path({str(DAGS / f'{name}.py')!r})"

    assert imported_by(code) == "[]"


def test_every_public_name_is_there() -> None:
    assert all(getattr(airflow_integration, name) is not None for name in airflow_integration.__all__)
    assert set(airflow_integration.__all__) <= set(dir(airflow_integration))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="WorkflowOperater"):
        _ = airflow_integration.WorkflowOperater

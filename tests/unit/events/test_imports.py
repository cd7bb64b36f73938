"""What importing costs: nothing is loaded before it is used."""

from __future__ import annotations

import subprocess
import sys

import workflow_events


def loaded_after(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_neither_a_kafka_client_nor_pydantic() -> None:
    assert not {"aiokafka", "kafka", "pydantic", "pydantic_settings"} & loaded_after("import workflow_events")


def test_the_events_and_errors_load_no_kafka_client() -> None:
    statement = "from workflow_events import WorkflowEvent, PendingRequest, WorkflowEventsError"
    assert not {"aiokafka", "kafka", "pydantic_settings", "langgraph", "airflow"} & loaded_after(statement)


def test_every_public_name_can_be_had() -> None:
    for name in workflow_events.__all__:
        assert getattr(workflow_events, name).__name__ == name if name != "PROTOCOL_VERSION" else True
    assert set(workflow_events.__all__) <= set(dir(workflow_events))

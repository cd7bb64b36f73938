"""What the documentation says of the settings is what the settings are."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_integration.provider import get_provider_info
from langgraph_integration.worker_settings import WorkerSettings
from workflow_events import KafkaSettings

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")


def rows() -> dict[str, str]:
    lines = [line.split("|") for line in PAGE.splitlines() if line.startswith("| `")]
    return {cells[1].strip(" `"): "|".join(cells[2:]) for cells in lines}


@pytest.mark.parametrize(
    "prefix,model", [("KAFKA_", KafkaSettings), ("WORKFLOW_WORKER_", WorkerSettings)], ids=["kafka", "worker"]
)
def test_every_setting_is_on_the_page_with_its_default_and_meaning(prefix: str, model: type[KafkaSettings]) -> None:
    for name, field in model.model_fields.items():
        row = rows()[f"{prefix}{name.upper()}"]
        assert (field.description or "?") in row
        if isinstance(field.default, str | int | float):
            assert f"`{field.default}`" in row


def test_every_airflow_option_is_on_the_page_with_its_default_and_meaning() -> None:
    for name, option in get_provider_info()["config"]["workflow_events"]["options"].items():
        row = rows()[name]
        assert option["description"] in row
        assert option["default"] in row


def test_the_page_names_no_setting_that_is_not_there() -> None:
    known = {f"KAFKA_{name.upper()}" for name in KafkaSettings.model_fields}
    known |= {f"WORKFLOW_WORKER_{name.upper()}" for name in WorkerSettings.model_fields}
    known |= set(get_provider_info()["config"]["workflow_events"]["options"])
    assert set(rows()) <= known

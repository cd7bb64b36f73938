from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from workflow_events import PendingRequest, WorkflowEvent, schema, wire
from workflow_events.events import PROTOCOL_VERSION


def test_the_committed_schemas_are_those_of_the_models() -> None:
    assert schema.drift() == [], "the contract changed: run `workflow-events schema export` and look at the difference"


def test_drift_is_seen(tmp_path: Path) -> None:
    schema.export_schemas(tmp_path)
    assert schema.drift(tmp_path) == []
    (tmp_path / "workflow-event.schema.json").write_text("{}")
    (tmp_path / "pending-request.schema.json").unlink()
    assert schema.drift(tmp_path) == ["workflow-event.schema.json", "pending-request.schema.json"]


@pytest.mark.parametrize("name", sorted(schema.schemas()))
def test_each_schema_is_valid_and_names_the_protocol(name: str) -> None:
    document = schema.schemas()[name]
    jsonschema.Draft202012Validator.check_schema(document)
    assert f":{PROTOCOL_VERSION}:" in document["$id"]


def test_what_we_put_on_the_wire_fits_the_schema() -> None:
    event = WorkflowEvent(event_type="workflow.triggered", source="airflow", workflow_id="w", workflow_run_id="r")
    document = schema.schemas()["workflow-event.schema.json"]
    jsonschema.validate(json.loads(wire.request_message(event, topic="t").value), document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"event_type": "workflow.triggered"}, document)


def test_a_pending_request_fits_its_schema() -> None:
    pending = PendingRequest.from_json(
        {
            "correlation_id": "0190a1b2-0000-7000-8000-000000000001",
            "workflow_id": "w",
            "workflow_run_id": "r",
            "reply_topic": "t",
            "reply_cursor": {"0": 3},
            "deadline": "2026-11-21T10:00:00Z",
        }
    )
    jsonschema.validate(pending.to_json(), schema.schemas()["pending-request.schema.json"])

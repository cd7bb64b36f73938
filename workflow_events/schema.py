"""The JSON Schemas of all events, for other languages; committed, so that a change of the contract is a visible one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workflow_events.events import PROTOCOL_VERSION, WorkflowEvent, WorkflowResultEvent
from workflow_events.pending import PendingRequest

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["SCHEMA_FOLDER", "drift", "export_schemas", "schemas"]

SCHEMA_FOLDER = Path(__file__).parent / "schemas"

_MODELS: dict[str, type[BaseModel]] = {
    "workflow-event": WorkflowEvent,
    "workflow-result-event": WorkflowResultEvent,
    "pending-request": PendingRequest,
}


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema (draft 2020-12) by file name, as the models say it now. They describe what a reader accepts."""
    return {
        f"{name}.schema.json": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:workflow-events:{PROTOCOL_VERSION}:{name}",
            **model.model_json_schema(mode="validation"),
        }
        for name, model in _MODELS.items()
    }


def export_schemas(folder: Path = SCHEMA_FOLDER) -> list[Path]:
    """Write the schemas into a folder and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, schema in schemas().items():
        path = folder / name
        path.write_text(_text(schema), encoding="utf-8")
        written.append(path)
    return written


def drift(folder: Path = SCHEMA_FOLDER) -> list[str]:
    """The names of schema files that are missing from a folder or differ from what the models say."""
    return [
        name
        for name, schema in schemas().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != _text(schema)
    ]


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

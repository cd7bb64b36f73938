"""Rows as records: what the database gives becomes what the store answers. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson
from pydantic_core import from_json

from result_store.database.tables import run_events, runs
from result_store.records import (
    PHASES,
    BatchStatus,
    BatchSummary,
    DeadLetterRecord,
    Execution,
    InvalidMessageRecord,
    Phase,
    RunRecord,
    RunState,
    RunSummary,
    TimelineEntry,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Row

__all__ = [
    "RECORD_COLUMNS",
    "SUMMARY_COLUMNS",
    "TIMELINE_COLUMNS",
    "batch_summaries",
    "dead_letter_record",
    "invalid_message_record",
    "run_record",
    "run_summary",
    "timeline_entry",
    "whole_batch",
    "whole_batch_json",
]

_EXECUTION: Final = {
    "stdout": "stdout",
    "stderr": "stderr",
    "exit_code": "exit_code",
    "execution_ms": "duration_ms",
    "peak_memory_bytes": "peak_memory_bytes",
}
"""The columns of a run's row that are fields of :class:`Execution`."""
_AS_PYDANTIC: Final = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
_JSON: Final = ("result", "error_detail", "interrupts", "usage")

SUMMARY_COLUMNS: Final = [runs.c[name] for name in RunSummary.model_fields if name in runs.c]
"""The columns that :func:`run_summary` takes."""
RECORD_COLUMNS: Final = [runs.c[name] for name in (*RunRecord.model_fields, *_EXECUTION) if name in runs.c]
"""The columns that :func:`run_record` takes."""
TIMELINE_COLUMNS: Final = [run_events.c[name] for name in TimelineEntry.model_fields]
"""The columns that :func:`timeline_entry` takes."""


def run_summary(row: Row[Any]) -> RunSummary:
    """A request in short."""
    return RunSummary.model_validate(_summary(row))


def _summary(row: Row[Any]) -> dict[str, Any]:
    fields: dict[str, Any] = row._asdict()
    fields["phase"] = PHASES[fields["state"]]
    return fields


def run_record(row: Row[Any], timeline: Sequence[TimelineEntry]) -> RunRecord:
    """All of a request."""
    fields = {**row._asdict(), "timeline": timeline}
    fields["phase"] = PHASES[fields["state"]]
    execution = {field: fields.pop(column) for column, field in _EXECUTION.items()}
    if any(value is not None for value in execution.values()):
        fields["execution"] = Execution.model_validate(execution)
    for name in _JSON:
        if fields[name] is not None:
            fields[name] = from_json(fields[name])
    return RunRecord.model_validate(fields)


def timeline_entry(values: Iterable[Any]) -> TimelineEntry:
    """One thing that happened, from the values of :data:`TIMELINE_COLUMNS`."""
    fields = dict(zip(TimelineEntry.model_fields, values, strict=True))
    if fields["data"] is not None:
        fields["data"] = from_json(fields["data"])
    return TimelineEntry.model_validate(fields)


def whole_batch(workflow_run_id: str, rows: Sequence[Row[Any]]) -> BatchStatus:
    """A batch from the rows of all of its requests, of which there is one at least."""
    return BatchStatus.model_validate(_whole_batch(workflow_run_id, rows))


def whole_batch_json(workflow_run_id: str, rows: Sequence[Row[Any]]) -> bytes:
    """As :func:`whole_batch`, as the record's JSON, and without the record: columns have their types already.

    Of twenty requests, to make records and write those takes 90 µs, and this 20.
    """
    return orjson.dumps(_whole_batch(workflow_run_id, rows), default=_plain, option=_AS_PYDANTIC)


def _whole_batch(workflow_run_id: str, rows: Sequence[Row[Any]]) -> dict[str, Any]:
    requests = [_summary(row) for row in rows]
    return {
        "workflow_run_id": workflow_run_id,
        "total": len(requests),
        "by_state": Counter(one["state"] for one in requests),
        "by_phase": Counter(one["phase"].value for one in requests),
        "requested_at": min((one["requested_at"] for one in requests if one["requested_at"]), default=None),
        "updated_at": max(one["updated_at"] for one in requests),
        "requests": {"items": requests, "next": None},
    }


def _plain(value: object) -> str:
    if isinstance(value, UUID):  # asyncpg's own kind, which orjson does not know
        return str(value)
    raise TypeError(type(value).__qualname__)


def batch_summaries(counts: Iterable[Row[Any]]) -> dict[str, BatchSummary]:
    """Batches by their ids, from the number of their requests in each state."""
    by_batch: dict[str, list[Row[Any]]] = {}
    for row in counts:
        by_batch.setdefault(row.workflow_run_id, []).append(row)
    return {workflow_run_id: _batch_summary(workflow_run_id, rows) for workflow_run_id, rows in by_batch.items()}


def _batch_summary(workflow_run_id: str, rows: Sequence[Row[Any]]) -> BatchSummary:
    by_phase: Counter[Phase] = Counter()
    for row in rows:
        by_phase[PHASES[RunState(row.state)]] += row.number
    requested: list[datetime] = [row.requested_at for row in rows if row.requested_at is not None]
    return BatchSummary(
        workflow_run_id=workflow_run_id,
        total=by_phase.total(),
        by_state={RunState(row.state): row.number for row in rows},
        by_phase=dict(by_phase),
        requested_at=min(requested, default=None),
        updated_at=max(row.updated_at for row in rows),
    )


def invalid_message_record(row: Row[Any]) -> InvalidMessageRecord:
    r"""A message that is none. Bytes that are no UTF-8 are written ``\xNN``."""
    return InvalidMessageRecord.model_validate({**row._asdict(), "value": row.value.decode(errors="backslashreplace")})


def dead_letter_record(row: Row[Any]) -> DeadLetterRecord:
    """A message that a worker has given up."""
    return DeadLetterRecord.model_validate(row._asdict())

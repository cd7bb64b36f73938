"""Records for tests of the page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from result_store.page.viewer import Viewer
from result_store.page.views import Frame
from result_store.records import EVERYBODY, PHASES, RunRecord, RunState, RunSummary, TimelineEntry

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
ID = UUID("0190a000-0000-7000-8000-000000000001")
EVERYBODYS = Viewer("dashboard", EVERYBODY, signed_in=True)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def frame(tab: str = "flight") -> Frame:
    return Frame(now=NOW, viewer=EVERYBODYS, tab=tab)


def _values(state: RunState, options: dict[str, Any]) -> dict[str, Any]:
    common = {
        "correlation_id": ID,
        "workflow_id": "score",
        "workflow_run_id": "batch",
        "state": state,
        "phase": PHASES[state],
        "requested_at": ago(20),
        "updated_at": ago(1),
    }
    return {**common, **options}


def summary(state: RunState = RunState.RUNNING, **options: Any) -> RunSummary:
    return RunSummary(**_values(state, options))


def record(state: RunState = RunState.SUCCESS, **options: Any) -> RunRecord:
    return RunRecord(**_values(state, options))


def entry(seconds: float, kind: str, **options: Any) -> TimelineEntry:
    """What happened so many seconds after the request."""
    return TimelineEntry(at=ago(20 - seconds), kind=kind, **{"attempt": 1, **options})

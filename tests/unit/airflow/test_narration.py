from __future__ import annotations

from typing import Any

import pytest

from airflow_integration.narration import Narrator, line_of
from workflow_events.events import EventType, WorkflowEvent, WorkflowEventPayload


def heard(event_type: EventType, **data: Any) -> WorkflowEvent:
    return WorkflowEvent(
        event_type=event_type,
        source="langgraph",
        workflow_id="w",
        workflow_run_id="r",
        payload=WorkflowEventPayload(data=data),
    )


@pytest.mark.parametrize(
    "event, line",
    [
        (heard(EventType.WORKFLOW_ACCEPTED, worker="h-1"), "Worker h-1 has taken the request."),
        (heard(EventType.WORKFLOW_PROGRESS, kind="run_started", resumed=False), "Its run has begun."),
        (
            heard(EventType.WORKFLOW_PROGRESS, kind="run_started", resumed=True),
            "Its run goes on from its last checkpoint.",
        ),
        (heard(EventType.WORKFLOW_PROGRESS, kind="node_started", node="n"), "Node 'n' has started."),
        (
            heard(EventType.WORKFLOW_PROGRESS, kind="node_finished", node="n", duration_ms=12.4),
            "Node 'n' has finished in 12 ms.",
        ),
        (heard(EventType.WORKFLOW_PROGRESS, kind="node_finished", node="n"), "Node 'n' has finished."),
        (
            heard(EventType.WORKFLOW_PROGRESS, kind="custom", node="n", data={"done": "ü"}),
            'Node \'n\' says: {"done": "ü"}',
        ),
        (heard(EventType.WORKFLOW_HEARTBEAT, worker="h-1"), None),
        (heard(EventType.WORKFLOW_PROGRESS, kind="something new"), None),
        (heard(EventType.WORKFLOW_RESULT), None),
    ],
)
def test_what_is_worth_a_line(event: WorkflowEvent, line: str | None) -> None:
    assert line_of(event) == line


def test_a_long_event_is_cut() -> None:
    line = line_of(heard(EventType.WORKFLOW_PROGRESS, kind="custom", data="x" * 9_000))

    assert line is not None
    assert line.endswith("(9002 characters)")
    assert len(line) < 600


def test_a_stream_of_tokens_does_not_fill_the_log() -> None:
    # Given a graph that says a thousand things at once
    lines: list[str] = []
    now = 0.0
    narrator = Narrator(lines.append, clock=lambda: now)
    token = heard(EventType.WORKFLOW_PROGRESS, kind="custom", node="n", data="token")
    for _ in range(1000):
        narrator.hear(token)
    assert len(lines) == 20
    # When it has been silent for a second
    now = 1.0
    narrator.hear(token)
    # Then it is heard again, and what was left out is counted
    assert len(lines) == 21
    assert "980 events before it were left out" in lines[-1]

"""What a command shows of a run."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from workflow_events import WorkflowEvent
from workflow_events.cli_progress import ProgressView, RunSoFar
from workflow_events.events import EventType, WorkflowEventPayload


def event(what: EventType, **data: Any) -> WorkflowEvent:
    return WorkflowEvent(
        event_type=what,
        source="langgraph",
        workflow_id="w",
        workflow_run_id="r",
        payload=WorkflowEventPayload(data={"worker": "w-1", **data}),
    )


RUN = [
    event(EventType.WORKFLOW_ACCEPTED),
    event(EventType.WORKFLOW_HEARTBEAT, node=None),
    event(EventType.WORKFLOW_PROGRESS, kind="run_started", resumed=False),
    event(EventType.WORKFLOW_PROGRESS, kind="node_started", node="plan"),
    event(EventType.WORKFLOW_HEARTBEAT, node="plan"),
    event(EventType.WORKFLOW_PROGRESS, kind="node_finished", node="plan", duration_ms=1500),
    event(EventType.WORKFLOW_PROGRESS, kind="custom", node="write", data={"completed": 3, "total": 10}),
]


def test_a_run_is_told_in_a_line_from_waiting_to_its_nodes() -> None:
    run = RunSoFar()
    told = [str(run)]
    for one in RUN:
        run.add(one)
        told.append(str(run))
    assert told == [
        "waiting for a worker",
        "accepted by w-1, in line",
        "accepted by w-1, in line, alive",
        "accepted by w-1",
        "accepted by w-1, plan",
        "accepted by w-1, plan, alive",
        "accepted by w-1, 1 node done",
        "accepted by w-1, 1 node done",
    ]
    assert (run.completed, run.total) == (3, 10)


def test_where_there_is_no_terminal_each_event_but_heartbeats_is_a_line() -> None:
    out = io.StringIO()
    with ProgressView(Console(file=out, width=40)) as view:
        for one in RUN:
            view.show(one)
    lines = [line.split(" ", 1)[1] for line in out.getvalue().splitlines()]
    assert lines[:4] == ["accepted by w-1", "run started", "plan started", "plan finished in 1.5 s"]
    assert len(lines) == 5


def test_a_run_that_another_worker_takes_over_is_in_line_again_and_then_resumed() -> None:
    run = RunSoFar()
    for one in RUN[:4]:
        run.add(one)
    run.add(event(EventType.WORKFLOW_ACCEPTED, worker="w-2"))
    assert str(run) == "accepted by w-2, in line"
    assert run.add(event(EventType.WORKFLOW_PROGRESS, kind="run_started", resumed=True)) == "run resumed"


def test_on_a_terminal_the_line_is_live_and_goes_at_the_end() -> None:
    out = io.StringIO()
    with ProgressView(Console(file=out, force_terminal=True, width=100)) as view:
        for one in RUN:
            view.show(one)
    assert "accepted by w-1" in out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_what_a_run_says_cannot_steer_the_terminal(terminal: bool) -> None:  # noqa: FBT001
    out = io.StringIO()
    with ProgressView(Console(file=out, force_terminal=terminal, color_system=None, width=100)) as view:
        view.show(event(EventType.WORKFLOW_PROGRESS, kind="node_started", node="[bold]\x1b]0;title\x07\nmore"))
    assert "\x1b]0" not in out.getvalue()
    assert "[bold]" in out.getvalue()


@pytest.mark.parametrize("data", [{"completed": "x", "total": []}, [], "text", None, {"completed": 1, "total": 0}])
def test_a_custom_event_of_any_shape_is_shown(data: Any) -> None:
    run = RunSoFar()
    assert run.add(event(EventType.WORKFLOW_PROGRESS, kind="custom", node=7, data=data)) is not None
    assert run.total is None

"""What is found of a request, told as the first step that is missing and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from workflow_events.dead_letters import DeadLetter, LetterPosition, Origin, ReplayStage
from workflow_events.events import EventType, WorkflowEvent, WorkflowEventPayload, WorkflowResultEvent
from workflow_events.explaining.diagnosis import Step, diagnose
from workflow_events.explaining.evidence import Asked, Evidence, Told
from workflow_events.explaining.timeline import timeline_of
from workflow_events.identifiers import derive_correlation_id
from workflow_events.progress.group_report import GroupReport
from workflow_events.stored_runs import StoredRun

START = datetime(2026, 11, 22, 12, 0, 1, tzinfo=UTC)
ID = derive_correlation_id("x", time=START)
GROUP = "langgraph-workers"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def evidence(now: float = 60, **found: Any) -> Evidence:
    values: dict[str, Any] = {
        "group": GroupReport(GROUP, "workflow-events", "Stable", 2, 0),
        "committed": {0: 0},
        **found,
    }
    return Evidence(ID, at(now), at(-300), "workflow-events", **values)


def asked(seconds: float = 0, *, offset: int = 7, problem: str | None = None, **fields: Any) -> Asked:
    values = {"event_id": ID, "event_type": EventType.WORKFLOW_TRIGGERED, "source": "airflow", **fields}
    event = WorkflowEvent.model_validate({"workflow_id": "w", "workflow_run_id": "r", **values})
    return Asked("workflow-events", 0, offset, at(seconds), problem, None if problem else event)


def told(seconds: float, what: EventType = EventType.WORKFLOW_PROGRESS, *, attempt: int = 1, **data: Any) -> Asked:
    event = WorkflowEvent(
        event_type=what, source="langgraph", workflow_id="w", workflow_run_id="r", attempt=attempt,
        payload=WorkflowEventPayload(data={"correlation_id": str(ID), "worker": "w-1", **data}),
    )  # fmt: skip
    return Asked("workflow-progress", 0, int(seconds), at(seconds), None, event)


def accepted(seconds: float = 1, **data: Any) -> Asked:
    return told(seconds, EventType.WORKFLOW_ACCEPTED, heartbeat_interval=10.0, **data)


def beat(seconds: float, node: str | None = None) -> Asked:
    return told(seconds, EventType.WORKFLOW_HEARTBEAT, node=node)


def result(seconds: float, *, problem: str | None = None, **fields: Any) -> Told:
    event = WorkflowResultEvent.model_validate(
        {"correlation_id": ID, "workflow_id": "w", "workflow_run_id": "r", "timestamp": at(seconds), **fields}
    )
    return Told("workflow-results", 1, 3, at(seconds), problem, None if problem else event)


def letter(*replays: ReplayStage) -> DeadLetter:
    position = LetterPosition("workflow-events.dlq", 0, 4)
    origin = Origin("workflow-events", 0, 7, at(0))
    return DeadLetter(position, "unknown-graph", "There is no graph 'w'.", origin, None, b"", [], replays=list(replays))


def group(state: str | None, members: int = 0, trouble: str | None = None) -> GroupReport:
    return GroupReport(GROUP, "workflow-events", state, members, None, trouble)


@pytest.mark.parametrize(
    "found,said,cause",
    [
        pytest.param({}, "never published", "no request with this id on 'workflow-events' since 11:55:01", id="nothing"),
        pytest.param(
            {"forgotten": {"workflow-events"}}, "never published", "keeps it no longer: its log begins later", id="forgotten"
        ),
        pytest.param(
            {"requests": [asked(problem="it is not signed")]}, "never published", "do not take it: it is not signed", id="forged"
        ),
        pytest.param(
            {"troubles": {"requests": "No broker answers"}}, "never published", "or it is not known: No broker", id="no broker"
        ),
        pytest.param(
            {"requests": [asked()], "group": group("Empty")},
            "published 12:00:01, never accepted",
            f"group `{GROUP}` has no members: no worker runs",
            id="no members",
        ),
        pytest.param(
            {"requests": [asked()], "group": group("Dead")},
            "published 12:00:01, never accepted",
            f"there is no group `{GROUP}`",
            id="no group",
        ),
        pytest.param(
            {"requests": [asked()], "committed": {0: 5}},
            "published 12:00:01, never accepted",
            "has 2 members, and the group has not come to it: it lies in partition 0 at 7, with 2 messages before it",
            id="behind",
        ),
        pytest.param(
            {"requests": [asked()], "committed": {0: 8}},
            "published 12:00:01, never accepted",
            "the group has finished with it (partition 0 is committed to 8, it lies at 7)",
            id="committed without a word",
        ),
        pytest.param(
            {"requests": [asked()], "group": group(None, trouble="it was silent"), "committed": None},
            "published 12:00:01, never accepted",
            f"who is in group `{GROUP}` is not known (it was silent), nor how far it has come",
            id="group unknown",
        ),
        pytest.param(
            {"requests": [asked()], "letters": [letter()]},
            "published 12:00:01, never accepted",
            "given up (unknown-graph): There is no graph 'w'. See `workflow-events dlq show workflow-events.dlq:0:4`",
            id="dead letter",
        ),
        pytest.param(
            {"requests": [asked()], "letters": [letter(ReplayStage.BEGUN, ReplayStage.DONE)], "group": group("Empty")},
            "published 12:00:01, never accepted",
            "has no members",
            id="dead letter replayed",
        ),
        pytest.param(
            {"requests": [asked()], "progress": [accepted(), beat(55)]},
            "accepted 12:00:02 by worker w-1, never begun",
            "worker w-1 is alive (last heard 5 s ago) and has it wait for its turn",
            id="in line",
        ),
        pytest.param(
            {"requests": [asked()], "progress": [accepted()]},
            "accepted 12:00:02 by worker w-1, never begun",
            "worker w-1 has been silent for 59 s, and beats every 10 s: it is dead, frozen or cut off",
            id="silent in line",
        ),
        pytest.param(
            {"requests": [asked()], "progress": [accepted(), told(2, kind="run_started"), beat(58, "plan")]},
            "begun 12:00:03 by worker w-1, not finished",
            "worker w-1 is still at it, in node 'plan' (last heard 2 s ago)",
            id="running",
        ),
        pytest.param(
            {"requests": [asked()], "progress": [accepted(), told(2, kind="node_started", node="plan")]},
            "begun 12:00:03 by worker w-1, not finished",
            "silent for 58 s in node 'plan'",
            id="silent",
        ),
        pytest.param(
            {"requests": [asked()], "progress": [accepted(), beat(58, "plan")], "cancels": [told(59)]},
            "begun 12:00:59 by worker w-1, not finished",
            "it was asked to stop at 12:01:00, and worker w-1 has yet to say that it did",
            id="cancelled",
        ),
        pytest.param(
            {"requests": [asked()], "progress": [accepted()], "results": [result(5, problem="it is not signed")]},
            "accepted 12:00:02 by worker w-1, never begun",
            "a message in place of its result, at workflow-results:1:3, that no waiter takes: it is not signed",
            id="forged result",
        ),
        pytest.param(
            {
                "requests": [asked(), asked(30, offset=9, attempt=2)],
                "progress": [accepted()],
                "results": [result(5, status="error", attempt=1)],
                "group": group("Empty"),
            },
            "attempt 2 published 12:00:31, never accepted",
            "attempt 1 ended with status error, which does not answer attempt 2; and of that one, group",
            id="stale failure",
        ),
    ],
)  # fmt: skip
def test_the_first_missing_step_and_its_cause(found: dict[str, Any], said: str, cause: str) -> None:
    diagnosis = diagnose(evidence(**found))

    assert not diagnosis.finished
    assert diagnosis.said == said
    assert cause in diagnosis.cause


@pytest.mark.parametrize("attempt", [None, 1, 2])
def test_a_result_that_answers_the_last_attempt_ends_it(attempt: int | None) -> None:
    found = evidence(requests=[asked(), asked(3, attempt=2)], results=[result(5, attempt=attempt)])

    diagnosis = diagnose(found)

    assert (diagnosis.missing, diagnosis.status) == (None, "success")
    assert diagnosis.said == "finished 12:00:06 with status success; the result is at workflow-results:1:3"


def stored(state: str, **fields: Any) -> StoredRun:
    return StoredRun.model_validate(
        {"correlation_id": ID, "workflow_id": "w", "workflow_run_id": "r", "state": state, **fields}
    )


def test_what_the_topics_have_forgotten_the_store_tells() -> None:
    # Given a request of which only the store knows, finished a day ago
    steps = [
        {"at": at(0), "kind": "requested", "attempt": 1},
        {"at": at(1), "kind": "accepted", "worker": "w-9"},
        {"at": at(2), "kind": "node_finished", "node": "plan", "duration_ms": 900},
        {"at": at(3), "kind": "result", "status": "failure"},
    ]
    run = stored("failure", status="failure", finished_at=at(3), result={}, error="no", timeline=steps)
    found = evidence(86_400, store="https://store", stored=run, forgotten={"workflow-events"})
    # When it is explained
    diagnosis, timeline = diagnose(found), timeline_of(found)
    # Then it is finished, and its history is the store's
    assert diagnosis.said == (
        "finished 2026-11-22 12:00:04 with status failure; the topic keeps it no longer; the result store has it"
    )
    assert diagnosis.notes == ["Its error: no"]
    assert [(one.what, one.where) for one in timeline] == [
        ("published, attempt 1", "result store"),
        ("accepted by w-9", "result store"),
        ("plan finished in 0.9 s", "result store"),
        ("result: failure", "result store"),
    ]


def test_a_store_that_is_behind_or_could_not_be_read_is_told_of() -> None:
    behind = evidence(results=[result(5)], store="https://store", stored=stored("running"))
    away = evidence(results=[result(5)], store="https://store", troubles={"store": "it does not answer"})

    assert diagnose(behind).notes == ["The result store is behind: there it is running."]
    assert diagnose(away).notes == ["Not read: store: it does not answer."]


def test_a_deadline_that_has_passed_is_told_of() -> None:
    found = evidence(requests=[asked(deadline=at(30))], group=group("Empty"))

    assert diagnose(found).notes == [
        "Its deadline was 12:00:31: the requester has given up, and no worker begins it now."
    ]


def test_the_timeline_is_in_order_and_beats_in_a_row_are_one() -> None:
    found = evidence(
        requests=[asked()],
        progress=[accepted(), told(2, kind="run_started"), *(beat(seconds, "plan") for seconds in (10, 20, 30))],
        results=[result(40)],
        letters=[letter()],
    )

    assert [one.what for one in timeline_of(found)] == [
        "published for workflow 'w', attempt 1",
        "accepted by w-1",
        "run started",
        "3 heartbeats, the last by w-1 in node 'plan'",
        "result: success",
        "given up (unknown-graph): There is no graph 'w'.",
    ]


def test_every_step_is_named_for_scripts() -> None:
    assert [step.value for step in Step] == ["published", "accepted", "begun", "finished"]

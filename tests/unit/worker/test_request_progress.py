"""What a worker tells of one request, from when it takes it until it is done with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from langgraph_integration.progress import Progress, RequestProgress
from workflow_events import KafkaSettings, WorkflowEvent
from workflow_events.wire import decode_event

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def progress() -> Progress:
    """Nobody publishes what it is told."""
    return Progress(KafkaSettings(), heartbeat_interval=5)


def request(deadline: datetime | None = None) -> WorkflowEvent:
    return WorkflowEvent(
        event_type="workflow.triggered", source="airflow", workflow_id="w", workflow_run_id="r", deadline=deadline
    )


def heard(progress: Progress) -> list[dict[str, Any]]:
    """What was told since the last call."""
    told = [progress.outbox.get_nowait() for _ in range(len(progress.outbox))]
    events = [decode_event(one.message(topic="p").value) for one in told if one is not None]
    own = {"correlation_id", "worker"}
    return [
        {"is": str(event.event_type), **{key: value for key, value in event.payload.data.items() if key not in own}}
        for event in events
    ]


def test_a_request_in_line_is_accepted_and_beats_without_a_node_until_its_run_begins(progress: Progress) -> None:
    with progress.of(request()) as telling:
        telling.accepted()
        telling.heartbeat(NOW)
        telling.run_started(resumed=True)
        telling.node_started("plan", 3)
        telling.heartbeat(NOW)
        assert progress.beating == 1
    assert heard(progress) == [
        {"is": "workflow.accepted", "heartbeat_interval": 5},
        {"is": "workflow.heartbeat", "node": None},
        {"is": "workflow.progress", "kind": "run_started", "resumed": True},
        {"is": "workflow.progress", "kind": "node_started", "node": "plan", "step": 3},
        {"is": "workflow.heartbeat", "node": "plan"},
    ]


def test_a_graphs_own_words_name_their_node_and_its_superstep_where_these_are_known(progress: Progress) -> None:
    with progress.of(request()) as telling:
        telling.run_started(resumed=False)
        telling.node_started("plan", 3)
        heard(progress)
        telling.custom("score", "known", 2)
        telling.custom(None, "unknown")
    custom = {"is": "workflow.progress", "kind": "custom"}
    assert heard(progress) == [
        {**custom, "node": "score", "step": 2, "data": "known"},
        {**custom, "node": "plan", "data": "unknown"},
    ]


@pytest.mark.parametrize(
    "say",
    [
        RequestProgress.accepted,
        lambda telling: telling.heartbeat(NOW),
        lambda telling: telling.custom("node", "still here"),
    ],
    ids=["accepted", "heartbeat", "custom"],
)
def test_of_a_request_that_is_no_longer_in_hand_nothing_is_told(
    progress: Progress, say: Callable[[RequestProgress], None]
) -> None:
    # Given a request that was handed back
    with progress.of(request()) as telling:
        telling.accepted()
    assert len(heard(progress)) == 1
    # When something is said of it all the same, such as by a thread that was left behind
    say(telling)
    # Then nobody hears it
    assert heard(progress) == []


async def test_a_request_that_is_handed_back_beats_no_more(progress: Progress) -> None:
    # Given a request that waits for its turn
    async def handle() -> None:
        with progress.of(request()) as telling:
            telling.accepted()
            await asyncio.Event().wait()

    handling = asyncio.create_task(handle())
    await asyncio.sleep(0)
    assert progress.beating == 1
    # When its handling is cancelled, as it is when its partition is taken away
    handling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handling
    # Then its heart beats no more
    assert progress.beating == 0


@pytest.mark.parametrize("running", [False, True])
def test_past_its_deadline_a_request_that_waits_in_line_is_silent_and_a_run_is_not(
    progress: Progress, *, running: bool
) -> None:
    # Given a request whose deadline comes, and a run that a later attempt may wait for
    with progress.of(request(NOW)) as telling:
        if running:
            telling.run_started(resumed=False)
        heard(progress)
        telling.heartbeat(NOW - timedelta(seconds=1))
        assert len(heard(progress)) == 1
        # When it has passed
        telling.heartbeat(NOW)
        assert len(heard(progress)) == running

"""Which requests a cancel stops, and which it leaves alone."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from langgraph_integration.cancellations import Cancel, Cancellation, Cancellations, cancel_in
from workflow_events import EventType, InvalidEventError, WorkflowEvent, WorkflowEventPayload


def event(kind: str = EventType.WORKFLOW_TRIGGERED, data: object = None, **fields: object) -> WorkflowEvent:
    return WorkflowEvent.model_validate(
        {
            "event_type": kind,
            "source": "airflow",
            "workflow_id": "w",
            "workflow_run_id": "r",
            "payload": WorkflowEventPayload.model_validate({"data": data or {}}),
            **fields,
        }
    )


async def work(cancellations: Cancellations, request: WorkflowEvent, begun: asyncio.Event) -> Cancel | None:
    """Hangs until it is cancelled; returns the cancel where it was one, else lets the cancellation pass."""
    with cancellations.watching(request) as cancellation:
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not cancellation.absorbed():
                raise
    return cancellation.asked


async def at_work(cancellations: Cancellations, request: WorkflowEvent) -> asyncio.Task[Cancel | None]:
    begun = asyncio.Event()
    task = asyncio.create_task(work(cancellations, request, begun))
    await begun.wait()
    return task


@pytest.mark.parametrize("cancelled_attempt", [2, 3])
async def test_a_cancel_stops_its_attempt_and_those_before_it(cancelled_attempt: int) -> None:
    cancellations, request = Cancellations(), event(attempt=2)
    task = await at_work(cancellations, request)
    cancel = Cancel(request.event_id, cancelled_attempt, "enough")
    assert cancellations.add(cancel) == 1
    assert await task == cancel
    assert task.cancelling() == 0


async def test_a_cancel_leaves_later_attempts_and_other_requests_alone() -> None:
    cancellations, request = Cancellations(), event(attempt=2)
    task = await at_work(cancellations, request)
    assert cancellations.add(Cancel(request.event_id, 1)) == 0
    assert cancellations.add(Cancel(uuid4(), 9)) == 0
    assert cancellations.add(Cancel(request.event_id, 2)) == 1
    assert (await task) == Cancel(request.event_id, 2)


async def test_a_cancel_that_came_first_is_known_when_its_request_comes() -> None:
    cancellations, request = Cancellations(), event(attempt=2)
    cancel = Cancel(request.event_id, 2)
    cancellations.add(cancel)
    # An earlier cancel that comes later takes nothing back
    cancellations.add(Cancel(request.event_id, 1))
    with cancellations.watching(request) as cancellation:
        assert cancellation.asked == cancel
    with cancellations.watching(request.model_copy(update={"attempt": 3})) as cancellation:
        assert cancellation.asked is None


async def test_a_cancel_after_the_end_does_nothing() -> None:
    cancellations, request = Cancellations(), event()
    with cancellations.watching(request) as cancellation:
        cancellation.end()
        assert cancellations.add(Cancel(request.event_id, 1)) == 0
        await asyncio.sleep(0)  # here an interruption would strike
    assert cancellation.asked is None


async def test_a_second_cancel_of_a_stopped_request_does_nothing() -> None:
    cancellations, request = Cancellations(), event()
    task = await at_work(cancellations, request)
    assert cancellations.add(Cancel(request.event_id, 1, "first")) == 1
    assert cancellations.add(Cancel(request.event_id, 1, "second")) == 0
    assert await task == Cancel(request.event_id, 1, "first")


async def test_a_worker_that_hands_back_wins_over_a_cancel() -> None:
    # Given a task that its owner cancels, in the same moment as a cancel comes
    cancellations, request = Cancellations(), event()
    task = await at_work(cancellations, request)
    cancellations.add(Cancel(request.event_id, 1))
    task.cancel()
    # Then it ends as its owner wants it
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_cancellation_of_its_owners_is_not_absorbed() -> None:
    task = await at_work(Cancellations(), event())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_oldest_cancels_are_forgotten_first() -> None:
    cancellations, requests = Cancellations(most=2), [event() for _ in range(3)]
    for request in requests:
        cancellations.add(Cancel(request.event_id, 1))
    found: list[Cancellation] = []
    for request in requests:
        with cancellations.watching(request) as cancellation:
            found.append(cancellation)
    assert [one.asked is not None for one in found] == [False, True, True]
    assert len(cancellations) == 2


def test_what_a_control_event_asks_for() -> None:
    wanted = UUID(int=7)
    data = {"correlation_id": str(wanted), "reason": "x" * 5000}
    cancel = cancel_in(event(EventType.WORKFLOW_CANCEL, data, attempt=4))
    assert cancel is not None
    assert (cancel.correlation_id, cancel.attempt) == (wanted, 4)
    assert cancel.reason is not None
    assert len(cancel.reason) == 1000
    assert cancel_in(event(EventType.WORKFLOW_RESUME, data)) is None


@pytest.mark.parametrize("data", [{}, {"correlation_id": 7}, {"correlation_id": "nobody"}])
def test_a_cancel_of_nobody_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(InvalidEventError, match="names none"):
        cancel_in(event(EventType.WORKFLOW_CANCEL, data))

"""Scatter-gather from an event loop, on every broker."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_events import (
    AsyncWorkflowClient,
    GatherTimeoutError,
    InvalidEventError,
    KafkaSettings,
    ResultStatus,
    WorkflowEvent,
    WorkflowResultEvent,
)


def answer(event: WorkflowEvent) -> list[WorkflowResultEvent]:
    """Says what it was told to say: nothing, a failure, or an echo."""
    told = event.payload.data
    if told.get("silent"):
        return []
    return [
        WorkflowResultEvent(
            correlation_id=event.event_id,
            workflow_id=event.workflow_id,
            workflow_run_id=event.workflow_run_id,
            result={"n": told["n"]},
            status=ResultStatus.FAILURE if told.get("fails") else ResultStatus.SUCCESS,
        )
    ]


def numbers(results: list[WorkflowResultEvent | None]) -> list[object]:
    return [None if result is None else result.result["n"] for result in results]


async def test_all_come_back_in_the_order_of_the_questions(kafka_settings: KafkaSettings, respond: Any) -> None:
    progress: list[tuple[int, int]] = []
    async with respond(kafka_settings, answer=answer), AsyncWorkflowClient(kafka_settings) as client:
        results = await client.gather(
            "w", [{"n": n} for n in range(50)], timeout=30, on_progress=lambda k, n: progress.append((k, n))
        )
    assert numbers(results) == list(range(50))
    assert progress == [(k, 50) for k in range(1, 51)]
    assert len({result.workflow_run_id for result in results if result}) == 1


async def test_the_first_success_is_enough(kafka_settings: KafkaSettings, respond: Any) -> None:
    data = [{"n": 0, "silent": True}, {"n": 1, "fails": True}, {"n": 2}]
    async with respond(kafka_settings, answer=answer), AsyncWorkflowClient(kafka_settings) as client:
        results = await client.gather("w", data, wait_for="first", timeout=30)
    assert numbers(results)[0] is None
    assert numbers(results)[2] == 2


async def test_a_quorum_that_cannot_be_reached_ends_at_once(kafka_settings: KafkaSettings, respond: Any) -> None:
    data = [{"n": 0, "fails": True}, {"n": 1, "fails": True}, {"n": 2, "silent": True}]
    async with respond(kafka_settings, answer=answer), AsyncWorkflowClient(kafka_settings) as client:
        results = await client.gather("w", data, wait_for=2, timeout=60)
    assert numbers(results) == [0, 1, None]


async def test_the_deadline_ends_the_wait_with_what_has_come(kafka_settings: KafkaSettings, respond: Any) -> None:
    data = [{"n": 0}, {"n": 1, "silent": True}]
    async with respond(kafka_settings, answer=answer), AsyncWorkflowClient(kafka_settings) as client:
        partial = await client.gather("w", data, timeout=2, return_partial_on_timeout=True)
        with pytest.raises(GatherTimeoutError, match="1 of 2") as caught:
            await client.gather("w", data, timeout=2)
    assert numbers(partial) == numbers(caught.value.results) == [0, None]
    assert [str(pending.correlation_id) in str(caught.value) for pending in caught.value.missing] == [True]


async def test_one_id_for_many_requests_is_refused(kafka_settings: KafkaSettings) -> None:
    async with AsyncWorkflowClient(kafka_settings) as client:
        with pytest.raises(InvalidEventError, match="correlation_id"):
            await client.gather("w", [{}, {}], correlation_id=WorkflowEvent.model_fields["event_id"].default_factory())  # type: ignore[misc,call-arg]
        assert await client.gather("w", []) == []

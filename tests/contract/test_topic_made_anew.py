"""A topic that is deleted and created again under a reader that follows it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from workflow_events import KafkaSettings, PendingRequest, WorkflowResultEvent
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.replies.sync_reader import SyncReplyReader
from workflow_events.testing.waiting import wait_until
from workflow_events.topics import ensure_topics
from workflow_events.transport import blocking

Publish = Callable[[KafkaSettings, list[WorkflowResultEvent]], Awaitable[None]]


def result(correlation_id: UUID) -> WorkflowResultEvent:
    return WorkflowResultEvent(correlation_id=correlation_id, workflow_id="w", workflow_run_id="r")


def pending(settings: KafkaSettings, correlation_id: UUID, cursor: dict[int, int]) -> PendingRequest:
    return PendingRequest(
        correlation_id=correlation_id,
        workflow_id="w",
        workflow_run_id="r",
        reply_topic=settings.workflow_results_topic,
        reply_cursor=cursor,
        deadline=datetime.now(tz=UTC) + timedelta(seconds=60),
    )


def make_anew(settings: KafkaSettings) -> None:
    admin = blocking.new_admin(settings)
    try:
        admin.delete_topics([settings.workflow_results_topic])
    finally:
        admin.close()
    ensure_topics(settings)


async def test_a_reader_notices_that_its_topic_was_made_anew_and_reads_on_from_the_start(
    kafka_settings: KafkaSettings, publish: Publish
) -> None:
    # Given a reader that has read three results
    topic = kafka_settings.workflow_results_topic
    async with ReplyReader.lease(kafka_settings, topic) as reader:
        await reader.ready(20)
        before, after = [uuid4() for _ in range(3)], uuid4()
        old = reader.cursor()
        await publish(kafka_settings, [result(one) for one in before])
        await asyncio.gather(*(reader.wait(pending(kafka_settings, one, old)) for one in before))
        # When the topic is deleted and created again
        await asyncio.to_thread(make_anew, kafka_settings)
        # Then the reader's cursor returns to the start, though nothing is there to be read
        await asyncio.to_thread(
            wait_until, lambda: not any(reader.cursor().values()), 60, what=lambda: f"cursor {reader.cursor()}"
        )
        # And a result in the new topic is found, by its cursor too
        mine = pending(kafka_settings, after, reader.cursor())
        await publish(kafka_settings, [result(after)])
        assert (await reader.wait(mine)).event.correlation_id == after
        assert (await reader.wait(mine)).event.correlation_id == after


async def test_a_thread_that_waits_is_answered_in_a_topic_that_was_made_anew(
    kafka_settings: KafkaSettings, publish: Publish
) -> None:
    # Given a thread that has read three results and waits for a fourth
    reader = SyncReplyReader(kafka_settings, kafka_settings.workflow_results_topic, poll_interval=0.1)
    before, after = [uuid4() for _ in range(3)], uuid4()
    cursor = await asyncio.to_thread(reader.end_cursor)
    await publish(kafka_settings, [result(one) for one in before])
    for one in before:
        await asyncio.to_thread(reader.wait, pending(kafka_settings, one, cursor))
    waiting = asyncio.create_task(asyncio.to_thread(reader.wait, pending(kafka_settings, after, cursor)))
    # When the topic is deleted and created again, and the thread's reader has noticed
    await asyncio.to_thread(make_anew, kafka_settings)
    await asyncio.to_thread(
        wait_until, lambda: not any(reader.progress()[0].values()), 60, what=lambda: f"read to {reader.progress()}"
    )
    # Then the result that comes is found
    await publish(kafka_settings, [result(after)])
    assert (await waiting).event.correlation_id == after
    reader.close()

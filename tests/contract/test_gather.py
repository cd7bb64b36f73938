"""Scatter-gather from an event loop and from a thread, on every broker."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from workflow_events import (
    AsyncWorkflowClient,
    GatherTimeoutError,
    InvalidEventError,
    KafkaSettings,
    PendingRequest,
    ResultStatus,
    WorkflowClient,
    WorkflowEvent,
    WorkflowResultEvent,
    wire,
)
from workflow_events.identifiers import new_event_id
from workflow_events.replies.sync_reader import SyncReplyReader
from workflow_events.transport import aio

Results = list[WorkflowResultEvent | None]
Gather = Callable[..., Awaitable[Results]]


@pytest.fixture(params=["from a loop", "from a thread"])
def gather(request: pytest.FixtureRequest, kafka_settings: KafkaSettings) -> Gather:
    """``gather`` of a client of either kind."""

    async def from_a_loop(*arguments: Any, **options: Any) -> Results:
        async with AsyncWorkflowClient(kafka_settings) as client:
            return await client.gather(*arguments, **options)

    def ask(*arguments: Any, **options: Any) -> Results:
        with WorkflowClient(kafka_settings) as client:
            return client.gather(*arguments, **options)

    async def from_a_thread(*arguments: Any, **options: Any) -> Results:
        return await asyncio.to_thread(ask, *arguments, **options)

    return from_a_loop if request.param == "from a loop" else from_a_thread


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


def numbers(results: Results) -> list[object]:
    return [None if result is None else result.result["n"] for result in results]


async def test_all_come_back_in_the_order_of_the_questions(
    kafka_settings: KafkaSettings, respond: Any, gather: Gather
) -> None:
    progress: list[tuple[int, int]] = []
    async with respond(kafka_settings, answer=answer):
        results = await gather(
            "w", [{"n": n} for n in range(50)], timeout=30, on_progress=lambda k, n: progress.append((k, n))
        )
    assert numbers(results) == list(range(50))
    assert progress == [(k, 50) for k in range(1, 51)]
    assert len({result.workflow_run_id for result in results if result}) == 1


async def test_failures_are_answers_too(kafka_settings: KafkaSettings, respond: Any, gather: Gather) -> None:
    async with respond(kafka_settings, answer=answer):
        results = await gather("w", [{"n": 0, "fails": True}, {"n": 1}], timeout=30)
    assert [result.status for result in results if result] == [ResultStatus.FAILURE, ResultStatus.SUCCESS]


async def test_the_first_success_is_enough(kafka_settings: KafkaSettings, respond: Any, gather: Gather) -> None:
    data = [{"n": 0, "silent": True}, {"n": 1, "fails": True}, {"n": 2}]
    async with respond(kafka_settings, answer=answer):
        results = await gather("w", data, wait_for="first", timeout=30)
    assert numbers(results)[0] is None
    assert numbers(results)[2] == 2


async def test_a_quorum_is_enough(kafka_settings: KafkaSettings, respond: Any, gather: Gather) -> None:
    data = [{"n": 0}, {"n": 1, "silent": True}, {"n": 2}]
    async with respond(kafka_settings, answer=answer):
        assert numbers(await gather("w", data, wait_for=2, timeout=60)) == [0, None, 2]


async def test_a_quorum_that_cannot_be_reached_ends_at_once(
    kafka_settings: KafkaSettings, respond: Any, gather: Gather
) -> None:
    data = [{"n": 0, "fails": True}, {"n": 1, "fails": True}, {"n": 2, "silent": True}]
    async with respond(kafka_settings, answer=answer):
        results = await gather("w", data, wait_for=2, timeout=60)
    assert numbers(results) == [0, 1, None]


async def test_the_deadline_ends_the_wait_with_what_has_come(
    kafka_settings: KafkaSettings, respond: Any, gather: Gather
) -> None:
    data = [{"n": 0}, {"n": 1, "silent": True}]
    async with respond(kafka_settings, answer=answer):
        partial = await gather("w", data, timeout=5, return_partial_on_timeout=True)
        with pytest.raises(GatherTimeoutError, match=r"1 of 2 .* \(counted from 0\): 1\.") as caught:
            await gather("w", data, timeout=5)
    assert numbers(partial) == numbers(caught.value.results) == [0, None]
    assert caught.value.indexes == [1]
    assert [str(pending.correlation_id) in str(caught.value) for pending in caught.value.missing] == [True]


async def test_one_id_for_many_requests_is_refused_and_nothing_asked_is_answered_at_once(
    kafka_settings: KafkaSettings, gather: Gather
) -> None:
    with pytest.raises(InvalidEventError, match="correlation_id"):
        await gather("w", [{}, {}], correlation_id=new_event_id())
    with pytest.raises(InvalidEventError, match="3 successes are wanted of 2"):
        await gather("w", [{}, {}], wait_for=3)
    assert await gather("w", []) == []


async def test_a_thousand_at_once(kafka_settings: KafkaSettings, respond: Any, gather: Gather) -> None:
    async with respond(kafka_settings, answer=answer):
        results = await gather("w", [{"n": n} for n in range(1000)], timeout=100)
    assert numbers(results) == list(range(1000))


@contextlib.asynccontextmanager
async def answering_by_partition(settings: KafkaSettings) -> AsyncIterator[None]:
    """A worker that answers at the whole return address, as ours does."""
    ready = asyncio.Event()

    async def serve() -> None:
        consumer = await aio.start_consumer(settings, settings.workflow_events_topic)
        producer = await aio.start_producer(settings)
        ready.set()
        try:
            async for record in consumer:
                event, address = wire.decode_event(record.value), wire.return_address_in(record.headers)
                assert address is not None
                assert address.partition is not None
                (result,) = answer(event)
                message = wire.result_message(result, topic=address.topic, partition=address.partition)
                await aio.send(producer, message)
        finally:
            await consumer.stop()
            await producer.stop()

    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(serve())
        await ready.wait()
        yield
        serving.cancel()


async def test_answers_by_partition_are_gathered_too(kafka_settings: KafkaSettings) -> None:
    data = [{"n": n} for n in range(30)]
    async with answering_by_partition(kafka_settings):
        with WorkflowClient(kafka_settings, reply_partition="by_correlation_id") as client:
            results = await asyncio.to_thread(client.gather, "w", data, timeout=60)
            one = await asyncio.to_thread(client.gather, "w", data[:1], timeout=60)
    assert numbers(results) == list(range(30))
    assert numbers(one) == [0]


async def test_a_partition_in_which_nobody_waited_is_read_for_who_waits_there_later(
    kafka_settings: KafkaSettings,
) -> None:
    async with answering_by_partition(kafka_settings):
        with WorkflowClient(kafka_settings, reply_partition="by_correlation_id") as client:
            # Given answers in all three partitions
            requests = await asyncio.to_thread(client.submit_many, "w", [{"n": n} for n in range(60)], timeout=60)
            for partition in range(3):
                last = [request for request in requests if request.reply_partition == partition][-1]
                await asyncio.to_thread(client.wait, last)
            # When those of two partitions are waited for, and then those of the third among others
            some = [request for request in requests if request.reply_partition != 2]
            first = await asyncio.to_thread(client.wait_many, some)
            rest = [request for request in requests if request.reply_partition == 2] + some[:5]
            second = await asyncio.to_thread(client.wait_many, rest)
    # Then all are found
    assert {result.correlation_id for result in first if result} == {request.correlation_id for request in some}
    assert {result.correlation_id for result in second if result} == {request.correlation_id for request in rest}


class TestFromAThread:
    async def test_many_are_waited_for_in_one_pass_by_another_process(
        self, kafka_settings: KafkaSettings, respond: Any
    ) -> None:
        # Given many requests, answered, whose client is gone
        ids = [new_event_id() for _ in range(200)]
        async with respond(kafka_settings, answer=answer):
            with WorkflowClient(kafka_settings) as client:
                data = [{"n": n} for n in range(200)]
                submitted = await asyncio.to_thread(client.submit_many, "w", data, correlation_ids=ids, timeout=60)
                await asyncio.to_thread(client.wait_many, submitted)
        assert [request.correlation_id for request in submitted] == ids
        assert len({(request.deadline, request.workflow_run_id) for request in submitted}) == 1
        # When another waits for them, from last to first
        requests = [PendingRequest.from_json(request.to_json()) for request in reversed(submitted)]
        reader = SyncReplyReader(kafka_settings, kafka_settings.workflow_results_topic)
        try:
            replies = dict(await asyncio.to_thread(lambda: list(reader.replies(requests))))
        finally:
            reader.close()
        # Then each is there, and each message was looked at once
        assert [replies[index].event.result["n"] for index in range(200)] == list(reversed(range(200)))
        assert reader.counts.seen == 200

    async def test_a_gather_and_others_share_one_reader(self, kafka_settings: KafkaSettings, respond: Any) -> None:
        async with respond(kafka_settings, answer=answer):
            with WorkflowClient(kafka_settings) as client:
                async with asyncio.TaskGroup() as tasks:
                    gathers = [
                        tasks.create_task(
                            asyncio.to_thread(client.gather, "w", [{"n": 10 * g + n} for n in range(10)], timeout=60)
                        )
                        for g in range(8)
                    ]
                    single = tasks.create_task(asyncio.to_thread(client.request, "w", {"n": -1}, timeout=60))
        assert [numbers(one.result()) for one in gathers] == [list(range(10 * g, 10 * g + 10)) for g in range(8)]
        assert single.result().result == {"n": -1}

    async def test_a_late_wait_takes_what_is_there_and_says_what_is_not(
        self, kafka_settings: KafkaSettings, respond: Any
    ) -> None:
        async with respond(kafka_settings, answer=answer):
            with WorkflowClient(kafka_settings) as client:
                submitted = await asyncio.to_thread(
                    client.submit_many, "w", [{"n": 0}, {"n": 1, "silent": True}], timeout=30
                )
                await asyncio.to_thread(client.wait, submitted[0])
                late = [one.model_copy(update={"deadline": one.deadline.replace(year=2020)}) for one in submitted]
                with pytest.raises(GatherTimeoutError) as caught:
                    await asyncio.to_thread(client.wait_many, late)
                assert await asyncio.to_thread(client.wait_many, late, wait_for="first") == caught.value.results
        assert numbers(caught.value.results) == [0, None]

    async def test_progress_is_told_in_the_callers_own_thread_and_its_error_ends_the_wait(
        self, kafka_settings: KafkaSettings, respond: Any
    ) -> None:
        threads: set[int] = set()

        def fail(answered: int, count: int) -> None:
            raise ZeroDivisionError

        def ask() -> int:
            with WorkflowClient(kafka_settings) as client:
                data = [{"n": n} for n in range(5)]
                client.gather("w", data, timeout=60, on_progress=lambda *_: threads.add(threading.get_ident()))
                with pytest.raises(ZeroDivisionError):
                    client.gather("w", data, timeout=60, on_progress=fail)
                # And the reader serves on
                client.request("w", {"n": 1}, timeout=30)
            return threading.get_ident()

        async with respond(kafka_settings, answer=answer):
            assert threads == {await asyncio.to_thread(ask)}

    def test_bad_data_among_many_is_named_and_nothing_is_asked(self, kafka_settings: KafkaSettings) -> None:
        with WorkflowClient(kafka_settings) as client:
            with pytest.raises(InvalidEventError, match="request 1 of 2"):
                client.submit_many("w", [{"n": 1}, {"n": object()}])
            with pytest.raises(InvalidEventError, match="1 correlation ids for 2"):
                client.submit_many("w", [{}, {}], correlation_ids=[new_event_id()])
            assert client.submit_many("w", []) == []
            assert end_of_requests(kafka_settings) == 0

    def test_requests_with_answers_on_several_topics_are_not_waited_for_together(
        self, kafka_settings: KafkaSettings
    ) -> None:
        with WorkflowClient(kafka_settings) as client:
            one = client.submit("w", {}, timeout=20)
            other = one.model_copy(update={"reply_topic": "elsewhere", "correlation_id": UUID(int=1)})
            with pytest.raises(InvalidEventError, match="elsewhere"):
                client.wait_many([one, other])


def end_of_requests(settings: KafkaSettings) -> int:
    """How many requests lie on the topic."""
    reader = SyncReplyReader(settings, settings.workflow_events_topic)
    try:
        return sum(reader.end_cursor().values())
    finally:
        reader.close()

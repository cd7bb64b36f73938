"""Reading several topics side by side: in the order of the brokers' time, and never waiting for long for one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from result_store.intake import Intake, end_of
from tests.integration.store.processing import publish
from workflow_events import KafkaSettings
from workflow_events.transport import aio
from workflow_events.wire import OutgoingMessage

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

    from workflow_events.dead_letters import StoredMessage

_PATIENCE = 60.0


@asynccontextmanager
async def reading(
    settings: KafkaSettings, partitions: list[TopicPartition]
) -> AsyncIterator[tuple[Intake, AIOKafkaConsumer]]:
    consumer = await aio.start_consumer(settings, fetch_max_wait_ms=50)
    try:
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, 0)
        intake = Intake()
        intake.attach(consumer)
        yield intake, consumer
    finally:
        await aio.stop(consumer)


async def read(intake: Intake, partitions: list[TopicPartition], number: int) -> list[StoredMessage]:
    found: list[StoredMessage] = []
    async with asyncio.timeout(_PATIENCE):
        while len(found) < number:
            some = await intake.read(partitions, number - len(found), timeout_ms=200)
            found += [message for _, message in some]
    return found


async def test_what_was_published_by_turns_is_read_by_turns(kafka_settings: KafkaSettings) -> None:
    # Given two topics that were written to by turns
    requests = TopicPartition(kafka_settings.workflow_events_topic, 0)
    results = TopicPartition(kafka_settings.workflow_results_topic, 0)
    turns = [(topic, f"{turn}-{number}") for turn in range(20) for topic in (requests, results) for number in range(30)]
    for start in range(0, len(turns), 30):
        some = turns[start : start + 30]
        await publish(kafka_settings, [OutgoingMessage(to.topic, said.encode(), partition=0) for to, said in some])
    async with reading(kafka_settings, [requests, results]) as (intake, consumer):
        # When all of it is read, in pieces that end within a turn
        found: list[StoredMessage] = []
        while len(found) < len(turns):
            found += await read(intake, [requests, results], min(77, len(turns) - len(found)))
        # Then nothing is missing, and where the broker's time tells them apart a turn comes before the next
        assert sorted(message.value or b"" for message in found) == sorted(said.encode() for _, said in turns)
        times = [message.timestamp for message in found]
        assert times == sorted(times)
        assert intake.position(requests) == end_of(consumer, requests) == 600


async def test_a_partition_without_news_keeps_nobody_waiting_and_what_is_not_asked_for_stays(
    kafka_settings: KafkaSettings,
) -> None:
    silent, busy = (TopicPartition(kafka_settings.workflow_events_topic, number) for number in (0, 1))
    other = TopicPartition(kafka_settings.workflow_results_topic, 0)
    await publish(kafka_settings, [OutgoingMessage(busy.topic, b"%d" % number, partition=1) for number in range(5)])
    await publish(kafka_settings, [OutgoingMessage(other.topic, b"other", partition=0)])
    async with reading(kafka_settings, [silent, busy, other]) as (intake, _):
        # When only some of the partitions are asked for
        found = await read(intake, [silent, busy], 5)
        # Then all of those is there, though one has nothing; the rest comes when it is asked for
        assert [message.value for message in found] == [b"%d" % number for number in range(5)]
        assert (await read(intake, [other], 1))[0].value == b"other"


async def test_what_was_read_and_not_given_is_dropped_with_the_partitions(kafka_settings: KafkaSettings) -> None:
    partition = TopicPartition(kafka_settings.workflow_events_topic, 0)
    await publish(
        kafka_settings, [OutgoingMessage(partition.topic, b"%d" % number, partition=0) for number in range(9)]
    )
    async with reading(kafka_settings, [partition]) as (intake, consumer):
        assert len(await read(intake, [partition], 4)) == 4
        assert intake.position(partition) == 4
        # When the partitions are given back, and come again where they were committed
        intake.drop()
        consumer.seek(partition, 4)
        # Then nothing is missing or doubled
        assert [message.offset for message in await read(intake, [partition], 5)] == [4, 5, 6, 7, 8]

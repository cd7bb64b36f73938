"""The processor on real parts: what happens on the topics is stored, whole, once, and told of; and what does not stop it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, select

from result_store.announcing import RESULT_STORED, Announcer
from result_store.archive import Archive
from result_store.database.database import ResultDatabase
from result_store.database.tables import invalid_messages, metadata
from result_store.errors import DatabaseError, ResultStoreError
from result_store.metrics import StoreMetrics
from result_store.processor import Processor
from result_store.records import RunState, StoredEvent
from result_store.topics import ensure_store_topics
from tests.integration.store.conftest import Backend
from tests.integration.store.history import EVENTS_PER_REQUEST, history
from tests.integration.store.processing import (
    PATIENCE,
    Ends,
    archived,
    at_work,
    committed,
    count,
    dump,
    everything_committed,
    opened,
    publish,
    stored_once,
)
from tests.integration.worker.observing import eventually, records
from workflow_events import WorkflowResultEvent, wire
from workflow_events.dead_letters import DeadLetterReason, letter_message
from workflow_events.signing_keys import new_key
from workflow_events.testing.postgres import PostgresServer
from workflow_events.transport import aio
from workflow_events.wire import OutgoingMessage

embedded = pytest.mark.parametrize("backend", ["embedded"], indirect=True)


class CacheThatIsDown:
    """A cache that cannot be reached; it notes what it was asked to forget."""

    def __init__(self) -> None:
        self.asked: list[set[str]] = []

    async def forget(self, owners: Iterable[str]) -> None:
        self.asked.append(set(owners))
        raise ConnectionError("nobody there")


class Copies:
    """A sink that notes whose rows it was to copy."""

    def __init__(self) -> None:
        self.ids: set[UUID] = set()

    async def copy(self, correlation_ids: Iterable[UUID]) -> None:
        self.ids.update(correlation_ids)


def answer(**fields: object) -> WorkflowResultEvent:
    return WorkflowResultEvent(
        **{"correlation_id": uuid4(), "workflow_id": "w", "workflow_run_id": "r", "result": {"a": 1}, **fields}
    )


async def test_what_happens_on_the_topics_is_stored_archived_and_told_of(
    backend: Backend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Given the messages of forty requests, a message that is none, and a dead letter
    kafka, settings = backend.kafka, backend.settings
    ensure_store_topics(kafka, settings)
    messages = history(kafka, 40 * EVENTS_PER_REQUEST)
    asked = wire.decode_event(messages[0].value)
    await publish(kafka, [OutgoingMessage(kafka.workflow_results_topic, b"\xff{")])
    [known] = await records(kafka, kafka.workflow_results_topic)
    letter = letter_message(known, DeadLetterReason.POISON, "it kills", topic=f"{kafka.workflow_events_topic}.dlq")
    cache, sink, metrics = CacheThatIsDown(), Copies(), StoreMetrics()
    archive = Archive(settings)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(opened(settings))
        announcer = await _started(stack, Announcer(kafka, settings.stored_topic))
        processor = Processor(
            kafka, settings, database, archive=archive, announcer=announcer, cache=cache, sink=sink, metrics=metrics
        )
        assert await _says(processor, "not a member")
        # When they are published while a processor runs
        async with at_work(processor):
            ends = await publish(kafka, [*messages, letter])
            await everything_committed(kafka, settings.group_id, ends)
            await processor.ready()
            await eventually(lambda: 'result_store_consumer_lag{partition="0"' in metrics.exposition().decode())
        stored = await dump(database)

        # Then the request is there with all that has become of it
        run = await database.queries.run(asked.event_id)
        assert run is not None
        assert {entry.kind for entry in run.timeline} == {
            *("requested", "accepted", "run_started", "node_started", "custom", "node_finished", "result"),
        }
        assert (run.user_id, run.workflow_run_id, run.attempt) == ("user-0", "batch-0", 2)
        assert run.request_archive_key is not None
        assert json.loads(await archive.get(run.request_archive_key))["attempt"] == 2
        # And what is no event, and what a worker has given up, is there to be looked at
        [invalid] = (await database.queries.invalid_messages()).items
        [given_up] = (await database.queries.dead_letters()).items
        assert (invalid.error_type, given_up.code) == ("invalid-json", "poison")
        # And all of it is what a single pass makes
        async with stored_once(kafka, messages, tmp_path) as (once, kept):
            assert {**stored, "invalid_messages": [], "dead_letters": []} == await dump(once)
            assert archived(settings) == archived(kept)

        # And live views were told how each request stands in the end, analytics of each, and the cache's absence was said once
        told: dict[UUID, StoredEvent] = {}
        for record in await records(kafka, settings.stored_topic):
            event = wire.decode_event(record.value)
            assert (event.event_type, event.source) == (RESULT_STORED, "result-store")
            found = StoredEvent.model_validate(event.payload.data)
            assert record.key == str(found.correlation_id).encode()
            told[found.correlation_id] = found
        ids = {row[0] for row in stored["runs"]}
        assert set(told) == ids == sink.ids
        assert told[asked.event_id].state is run.state
        assert {"user-0", "batch-0", str(asked.event_id)} <= set().union(*cache.asked)
        assert caplog.text.count("The cache does not forget") == 1
        counted = f'error_type="invalid-json",topic="{kafka.workflow_results_topic}"'
        assert f"result_store_invalid_messages_total{{{counted}}} 1.0" in metrics.exposition().decode()


async def test_a_replay_makes_the_same_rows_over_those_that_are_there_and_in_an_empty_database(
    backend: Backend, tmp_path: Path
) -> None:
    # Given what is on the topics, and a store that has it
    kafka, settings = backend.kafka, backend.settings
    messages = history(kafka, 30 * EVENTS_PER_REQUEST)
    before = datetime.now(tz=UTC) - timedelta(minutes=5)
    await publish(kafka, [*messages, OutgoingMessage(kafka.workflow_results_topic, b"\xff{")])
    async with opened(settings) as database:
        options, sink = backend.with_settings(batch_size=100), Copies()
        processor = Processor(kafka, options, database, archive=Archive(settings), sink=sink)
        first = await processor.replay(before)
        stored = await dump(database)
        async with stored_once(kafka, messages, tmp_path) as (once, _):
            assert {**stored, "invalid_messages": []} == await dump(once)
        assert len(stored["invalid_messages"]) == 1
        # When all is read again, as after the death of a processor that had not yet copied what it had stored
        sink.ids.clear()
        again = await processor.replay(before)
        # Then nothing changes, and the copies are made
        assert sink.ids == {row[0] for row in stored["runs"]}
        assert (again.messages, again.changed) == (first.messages, 0)
        assert sum(again.messages.values()) == len(messages) + 1
        assert await dump(database) == stored
        # When the rows are lost, and all is read again
        async with database.engine.begin() as connection:
            for table in metadata.sorted_tables:
                await connection.execute(delete(table))
        anew = await processor.replay(before)
        # Then they are there again
        assert anew.changed == first.changed
        assert await dump(database) == stored
        # And what was published before the time is left alone
        none = await processor.replay(datetime.now(tz=UTC) + timedelta(hours=1))
        assert sum(none.messages.values()) == (0 if backend.name == "real" else len(messages) + 1)


@embedded
async def test_only_genuine_messages_become_rows_and_large_payloads_are_taken_into_the_store(
    backend: Backend, tmp_path: Path
) -> None:
    # Given keys and a store of large payloads
    kafka = backend.kafka.replace(
        signing_keys=new_key("k1", bytes(32)), claim_check_store=str(tmp_path / "claims"), claim_check_threshold=2000
    )
    large, lost, forged = answer(result={"text": "x" * 5000}), answer(result={"text": "y" * 5000}), answer()
    topic = kafka.workflow_results_topic
    settings = backend.settings
    async with opened(settings) as database:
        # When two large results are published, the payload of one is lost, and somebody without a key answers too
        producer = await aio.start_producer(kafka)
        for one in (large, lost):
            await aio.send(producer, wire.result_message(one, topic=topic, partition=0))
        await producer.stop()
        [gone] = (tmp_path / "claims" / "results" / str(lost.correlation_id)).iterdir()
        gone.unlink()
        ends = await publish(kafka, [wire.result_message(forged, topic=topic, partition=0)])
        async with at_work(Processor(kafka, settings, database, archive=Archive(settings))):
            await everything_committed(kafka, settings.group_id, ends)

        # Then the one is there as a whole, also in the archive
        found = await database.queries.run(large.correlation_id)
        assert found is not None
        assert found.result == large.result
        assert found.result_archive_key is not None
        kept = wire.decode_result(await Archive(settings).get(found.result_archive_key))
        assert (kept.result, kept.claim_check) == (large.result, None)
        # And of the other it is known that it succeeded, and that its result is not here
        bare = await database.queries.run(lost.correlation_id)
        assert bare is not None
        assert (bare.state, bare.result) == (RunState.SUCCESS, None)
        # And the third is no run
        assert await database.queries.run(forged.correlation_id) is None
        problems = (await database.queries.invalid_messages()).items
        assert {(one.error_type, one.correlation_id) for one in problems} == {
            ("unsigned", forged.correlation_id),
            ("claim-check", lost.correlation_id),
        }


async def test_a_message_that_the_database_will_never_take_is_kept_as_poison_and_all_others_are_stored(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    # Given sound messages, and among them one with an attempt that no column holds
    kafka, settings = backend.kafka, backend.settings
    sound = [answer() for _ in range(40)]
    poison = answer(attempt=2**40)
    topic = kafka.workflow_results_topic
    messages = [wire.result_message(one, topic=topic, partition=0) for one in [*sound[:25], poison, *sound[25:]]]
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(opened(settings))
        # And nobody to be told, for there is no such topic
        announcer = await _started(stack, Announcer(kafka, "no-such-topic"))
        # When they are stored
        ends = await publish(kafka, messages)
        async with at_work(Processor(kafka, settings, database, announcer=announcer)):
            await everything_committed(kafka, settings.group_id, ends)
        # Then all others are there
        assert await count(database, "runs") == len(sound)
        # And that one is kept, with its bytes
        async with database.engine.connect() as connection:
            [kept] = (await connection.execute(select(invalid_messages))).all()
        assert (kept.error_type, kept.correlation_id) == ("poison", poison.correlation_id)
        assert kept.value == wire.encode(poison)
        assert "is kept as invalid" in caplog.text
        assert caplog.text.count("Live views are not told") == 1


@embedded
async def test_a_database_that_comes_back_is_waited_for_and_one_that_refuses_ends_the_processor_and_nothing_is_committed(
    backend: Backend,
) -> None:
    kafka, settings = backend.kafka, backend.settings
    message = wire.result_message(answer(), topic=kafka.workflow_results_topic)
    ends = await publish(kafka, [message])
    # Given a database without tables
    untouched = ResultDatabase(settings)
    # When a processor runs on it
    # Then it ends, and says what to do
    with pytest.raises(DatabaseError, match="migrate"):
        await asyncio.wait_for(Processor(kafka, settings, untouched).run(), PATIENCE)
    await untouched.close()
    assert set((await committed(kafka, settings.group_id, ends)).values()) == {0}

    # Given one that was there and has been killed
    with PostgresServer(max_connections=20) as server:
        real = backend.with_settings(database_url=server.dsn, database_connections=2)
        async with opened(real) as database:
            server.kill()
            async with at_work(Processor(kafka, real, database)) as given_up:
                await eventually(lambda: _says(given_up, "stores nothing"), PATIENCE)
            # When the processor is stopped meanwhile, nothing is committed
            assert set((await committed(kafka, settings.group_id, ends)).values()) == {0}
            async with at_work(Processor(kafka, real, database)) as waiting:
                await eventually(lambda: _says(waiting, "stores nothing"), PATIENCE)
                # And when the database comes back
                server.start()
                # Then what was read before is stored
                await everything_committed(kafka, settings.group_id, ends)
            assert await count(database, "runs") == 1


async def test_two_processors_lose_and_double_nothing_while_one_comes_and_goes(
    backend: Backend, tmp_path: Path
) -> None:
    # Given a processor, and messages that are published all the while, so that it always has some in hand
    kafka = backend.kafka
    settings = backend.with_settings(batch_size=10, session_timeout=20.0 if backend.name == "real" else 10.0)
    messages = history(kafka, 20_000)
    metrics = [StoreMetrics(), StoreMetrics()]
    over = asyncio.Event()
    published = 0

    def most_are_stored() -> bool:
        return sum(map(_taken, metrics)) >= published - 60

    async def publish_on() -> Ends:
        nonlocal published
        ends: Ends = {}
        while not over.is_set():
            ends |= await publish(kafka, messages[published : published + 40])
            published += 40
            await eventually(most_are_stored, PATIENCE)
        return ends

    async with opened(settings) as database:
        first, second = (
            Processor(kafka, settings, database, archive=Archive(settings), metrics=one) for one in metrics
        )
        async with at_work(first):
            await eventually(lambda: len(first.partitions) == 12, PATIENCE)
            publishing = asyncio.ensure_future(publish_on())
            await eventually(lambda: _taken(metrics[0]) > 0, PATIENCE)
            # When a second one joins in the middle of it
            async with at_work(second):
                await eventually(lambda: first.partitions and second.partitions, PATIENCE)
                # Then what is told of one run is one processor's, on whatever topic
                assert not {one.partition for one in first.partitions} & {one.partition for one in second.partitions}
                await eventually(lambda: _taken(metrics[1]) > 0, PATIENCE)
                # And the first goes
                first.stop()
                await eventually(lambda: len(second.partitions) == 12, PATIENCE)
                over.set()
                await everything_committed(kafka, settings.group_id, await publishing)
        stored = await dump(database)
    # Then each message was stored by one of them, once
    assert [_taken(one) > 0 for one in metrics] == [True, True]
    assert sum(map(_taken, metrics)) == published
    # And all is what a single pass makes
    async with stored_once(kafka, messages[:published], tmp_path) as (once, kept):
        assert stored == await dump(once)
        assert archived(settings) == archived(kept)


def _taken(metrics: StoreMetrics) -> int:
    return sum(
        int(float(line.rpartition(" ")[2]))
        for line in metrics.exposition().decode().splitlines()
        if line.startswith("result_store_messages_total{")
    )


async def _started(stack: AsyncExitStack, announcer: Announcer) -> Announcer:
    await announcer.start()
    stack.push_async_callback(announcer.stop)
    return announcer


async def _says(processor: Processor, text: str) -> bool:
    """Whether it says of itself that it is not well, in these words."""
    try:
        await processor.ready()
    except ResultStoreError as error:
        return text in str(error)
    return False

"""The result store's processor with just the rights that docs/security.md lists, and what is said where one is missing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest

from result_store.announcing import Announcer
from result_store.database.database import ResultDatabase
from result_store.processor import Processor
from result_store.records import RunState
from result_store.settings import StoreSettings
from result_store.topics import ensure_store_topics
from tests.integration.store.processing import opened
from tests.integration.trust import roles
from tests.integration.trust.messages import request
from tests.integration.trust.roles import STORE_GROUP, STORED_TOPIC, without
from tests.integration.worker.observing import eventually
from workflow_events import AccessDeniedError, KafkaSettings, WorkflowResultEvent, wire
from workflow_events.transport import aio

# As in test_roles.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

Admit = Callable[..., KafkaSettings]


@pytest.fixture
def store(tmp_path: Path) -> StoreSettings:
    return StoreSettings(
        database_url=f"sqlite:///{tmp_path / 'store.db'}",
        archive="none",
        group_id=STORE_GROUP,
        stored_topic=STORED_TOPIC,
        poll_interval=0.1,
        session_timeout=6.0,
    )


@asynccontextmanager
async def storing(kafka: KafkaSettings, store: StoreSettings) -> AsyncIterator[ResultDatabase]:
    """A processor at work, which tells of what it stores; its error ends the block."""
    announcer = Announcer(kafka, store.stored_topic)
    async with opened(store) as database:
        await announcer.start()
        processor = Processor(kafka, store, database, announcer=announcer)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(processor.run())
                try:
                    yield database
                finally:
                    processor.stop()
        finally:
            await announcer.stop()


async def ask_and_answer(admin: KafkaSettings) -> UUID:
    """A request and its result, on their topics."""
    producer = await aio.start_producer(admin)
    asked = request(admin, {"n": 1})
    event = wire.decode_event(asked.value)
    result = WorkflowResultEvent(
        correlation_id=event.event_id, workflow_id=event.workflow_id, workflow_run_id=event.workflow_run_id
    )
    for message in (asked, wire.result_message(result, topic=admin.workflow_results_topic)):
        await aio.send(producer, message)
    await producer.stop()
    return event.event_id


async def succeeded(database: ResultDatabase, asked: UUID) -> bool:
    run = await database.queries.run(asked)
    return run is not None and run.state is RunState.SUCCESS and run.requested_at is not None


async def test_the_processor_stores_and_tells_with_its_rights_alone(
    admin: KafkaSettings, user: Admit, store: StoreSettings, caplog: pytest.LogCaptureFixture
) -> None:
    ensure_store_topics(admin, store)
    settings = user(admin, roles.store_processor(admin))
    asked = await ask_and_answer(admin)
    with caplog.at_level(logging.WARNING, "result_store"):
        async with storing(settings, store) as database:
            await eventually(lambda: succeeded(database, asked))
    assert [record.message for record in caplog.records if record.name.startswith("result_store")] == []


@pytest.mark.parametrize("of", ["workflow_events_topic", "workflow_results_topic", "workflow_progress_topic"])
async def test_a_topic_that_may_not_be_read_ends_the_processor_and_is_named(
    admin: KafkaSettings, user: Admit, store: StoreSettings, of: str
) -> None:
    topic = getattr(admin, of)
    settings = user(admin, without(roles.store_processor(admin), "READ", topic))
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(60), storing(settings, store):
            await asyncio.Event().wait()
    (error,) = caught.value.exceptions
    assert isinstance(error, AccessDeniedError)
    assert f"on topic '{topic}'" in str(error)
    assert settings.sasl_username is not None
    assert settings.sasl_username in str(error)


async def test_a_group_that_may_not_be_joined_ends_the_processor_and_is_named(
    admin: KafkaSettings, user: Admit, store: StoreSettings
) -> None:
    settings = user(admin, without(roles.store_processor(admin), "READ", STORE_GROUP))
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(60), storing(settings, store):
            await asyncio.Event().wait()
    (error,) = caught.value.exceptions
    assert isinstance(error, AccessDeniedError)
    assert f"READ on the consumer group '{STORE_GROUP}'" in str(error)


async def test_a_processor_that_may_not_tell_stores_all_the_same_and_logs_the_right(
    admin: KafkaSettings, user: Admit, store: StoreSettings, caplog: pytest.LogCaptureFixture
) -> None:
    ensure_store_topics(admin, store)
    settings = user(admin, without(roles.store_processor(admin), "WRITE", STORED_TOPIC))
    asked = await ask_and_answer(admin)
    with caplog.at_level(logging.WARNING):
        async with storing(settings, store) as database:
            await eventually(lambda: succeeded(database, asked))
            await eventually(lambda: f"on topic '{STORED_TOPIC}'" in caplog.text)

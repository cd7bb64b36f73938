"""The parts that are Kafka's: brokers, topics, announcements, and the store of large payloads that messages refer to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from result_store.announcing import Announcer
from result_store.settings import variable
from result_store.topics import stored_topic_spec
from result_store.wiring import Part
from workflow_events.errors import TopicNotFoundError
from workflow_events.payloads import Payloads
from workflow_events.topics import TopicOutcome, TopicSpec, ensure_topics, topic_specs
from workflow_events.transport import blocking

if TYPE_CHECKING:
    from result_store.assembly.store import Store

__all__ = ["KAFKA_PARTS"]


@asynccontextmanager
async def _brokers(store: Store) -> AsyncIterator[None]:
    await asyncio.to_thread(lambda: blocking.new_admin(store.kafka).close())
    yield


async def _touch_brokers(store: Store) -> str:
    return store.kafka.bootstrap_servers


def _event_topics(store: Store) -> list[TopicSpec]:
    kafka = store.kafka
    names = {kafka.workflow_events_topic, kafka.workflow_results_topic, kafka.workflow_progress_topic}
    specs = topic_specs(kafka)
    # Where topics are made, then all of the SDK's, so that nothing that a worker needs is left out.
    return specs if store.create_topics else [spec for spec in specs if spec.name in names]


def _stored_topic(store: Store) -> list[TopicSpec]:
    return [stored_topic_spec(store.kafka, store.settings)]


def _topics(specs: Callable[[Store], Sequence[TopicSpec]]) -> Callable[[Store], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def opened(store: Store) -> AsyncIterator[None]:
        look = partial(ensure_topics, store.kafka, create=store.create_topics, specs=specs(store))
        reports = await asyncio.to_thread(look)
        missing = [report.name for report in reports if report.outcome is TopicOutcome.MISSING]
        if missing:
            does = "do" if len(missing) > 1 else "does"
            raise TopicNotFoundError(f"{', '.join(missing)} {does} not exist at {store.kafka.bootstrap_servers}")
        store.topics.update({report.name: "; ".join(map(str, report.differences)) for report in reports})
        yield

    return opened


def _touch_topics(specs: Callable[[Store], Sequence[TopicSpec]]) -> Callable[[Store], Awaitable[str]]:
    async def touch(store: Store) -> str:
        told = {spec.name: store.topics[spec.name] for spec in specs(store)}
        return ", ".join(f"{name} ({differs})" if differs else name for name, differs in told.items())

    return touch


@asynccontextmanager
async def _claim_checks(store: Store) -> AsyncIterator[None]:  # noqa: ARG001 - opened by who redeems them, when first needed
    yield


async def _touch_claim_checks(store: Store) -> str:
    if store.kafka.claim_check_store is None:
        return "none is set"
    await Payloads(store.kafka).aping()
    return store.kafka.claim_check_store


@asynccontextmanager
async def _announcer(store: Store) -> AsyncIterator[None]:
    store.announcer = Announcer(store.kafka, store.settings.stored_topic)
    try:
        await store.announcer.start()
        yield
    finally:
        await store.announcer.stop()


async def _touch_announcer(store: Store) -> str:
    return f"writes to {store.settings.stored_topic}"


_MAKE_THEM: Final = "Make what is missing with `result-store run --create-topics`, or name what is there in"

KAFKA_PARTS: Final = (
    Part(
        "brokers",
        (),
        ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_MECHANISM"),
        "Set KAFKA_BOOTSTRAP_SERVERS to brokers that run and can be reached from here, and KAFKA_SECURITY_PROTOCOL and "
        "KAFKA_SASL_… as they ask.",
        _brokers,
        _touch_brokers,
    ),
    Part(
        "event topics",
        ("brokers",),
        ("KAFKA_WORKFLOW_EVENTS_TOPIC", "KAFKA_WORKFLOW_RESULTS_TOPIC", "KAFKA_WORKFLOW_PROGRESS_TOPIC"),
        f"{_MAKE_THEM} KAFKA_WORKFLOW_EVENTS_TOPIC, KAFKA_WORKFLOW_RESULTS_TOPIC and KAFKA_WORKFLOW_PROGRESS_TOPIC.",
        _topics(_event_topics),
        _touch_topics(_event_topics),
    ),
    Part(
        "stored topic",
        ("brokers",),
        (variable("stored_topic"),),
        f"{_MAKE_THEM} {variable('stored_topic')}.",
        _topics(_stored_topic),
        _touch_topics(_stored_topic),
    ),
    Part(
        "claim checks",
        (),
        ("KAFKA_CLAIM_CHECK_STORE",),
        "Set KAFKA_CLAIM_CHECK_STORE to the store that requesters and workers have, and what its tools need (AWS_…) too.",
        _claim_checks,
        _touch_claim_checks,
    ),
    Part(
        "announcer",
        ("stored topic",),
        (variable("stored_topic"),),
        f"See that this process may write to the topic that {variable('stored_topic')} names.",
        _announcer,
        _touch_announcer,
    ),
)

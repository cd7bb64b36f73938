"""Takes what happens on the topics into the store, as a member of a consumer group.

While one batch is stored, the next is read. A batch's offsets are committed once it is in the database for good, so what a
processor has in its hands when it dies is read again by another, and storing it twice is storing it once. Before partitions are
given back, what is in hand is stored and committed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from result_store.assignment import Assignment, existing_topics
from result_store.errors import ResultStoreError
from result_store.in_hand import LET_GO_PATIENCE, InHand
from result_store.intake import Intake
from result_store.metrics import StoreMetrics
from result_store.reading import fact_of, topic_roles
from result_store.replay import replay
from result_store.saving import Saving
from workflow_events.errors import TransportError
from workflow_events.retry import async_transport_retrying
from workflow_events.signing import Signatures
from workflow_events.transport import aio

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    from result_store.archive import Archive
    from result_store.database.database import ResultDatabase
    from result_store.replay import ReplayReport
    from result_store.saving import Announces, Forgets, Sink
    from result_store.settings import StoreSettings
    from workflow_events.dead_letters import StoredMessage
    from workflow_events.settings import KafkaSettings

__all__ = ["Processor"]

log = logging.getLogger(__name__)

_TICK: Final = 0.25
"""Seconds that a fetch waits at most, so that a batch that is due is not kept waiting."""
_AT_ONCE: Final = 256
"""Messages that are decoded without giving others in the event loop their turn."""
_FETCH_MAX_WAIT: Final = 0.1
"""Seconds that a broker holds an empty fetch. The embedded broker does not wake a held fetch when a record comes."""
_HEARTBEAT_INTERVAL: Final = 3.0
_REJOIN_MARGIN: Final = 10.0
_SILENCE: Final = 120.0
"""Seconds without a look at the topics after which the processor is not well."""


class Processor:
    """Stores what is published on the topics of requests, results, progress and dead letters.

    ::

        processor = Processor(KafkaSettings(), settings, database, archive=Archive(settings))
        await processor.run()

    Args:
        kafka: where Kafka is and what the topics are called.
        settings: the group, how many messages are stored together, and how long a batch may wait to fill.
        database: keeps the rows; started.
        archive: keeps whole messages; None: nobody does.
        announcer: tells live views; None: nobody does.
        cache: forgets what is stale; None: there is none.
        sink: gets a copy of the rows for analytics; None: nobody does.
        metrics: count.

    Attributes:
        polled_at: when it last looked for messages; None before it first has.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: StoreSettings,
        database: ResultDatabase,
        *,
        archive: Archive | None = None,
        announcer: Announces | None = None,
        cache: Forgets | None = None,
        sink: Sink | None = None,
        metrics: StoreMetrics | None = None,
    ) -> None:
        self.kafka = kafka
        self.settings = settings
        self.polled_at: datetime | None = None
        self._metrics = metrics or StoreMetrics()
        self._saving = Saving(
            kafka, database, archive=archive, sink=sink, cache=cache, announcer=announcer, metrics=self._metrics
        )
        self._intake = Intake()
        self._in_hand = InHand(kafka, self._saving, self._metrics, batch_size=settings.batch_size)
        self._signatures = Signatures.of(kafka)
        self._roles = topic_roles(kafka)
        self._topics: list[str] = []
        self._look_again_at = 0.0
        self._consumer: AIOKafkaConsumer = None
        self._assignment = Assignment(self._let_go)
        self._stopping = asyncio.Event()

    @property
    def partitions(self) -> list[TopicPartition]:
        """The partitions held now."""
        return sorted(self._assignment.held)

    def stop(self) -> None:
        """Read no more; :meth:`run` returns once what is in hand is stored and committed, if the database lets it."""
        self._stopping.set()

    async def ready(self) -> None:
        """Whether it is at work.

        Raises:
            ResultStoreError: it is not; the message says why.
        """
        if not self._assignment.joined.is_set():
            raise ResultStoreError(
                f"The processor is not a member of its group {self.settings.group_id!r} at the moment: it has not joined yet, "
                "or the group is sharing out its partitions anew."
            )
        if self._saving.failing is not None:
            raise ResultStoreError(f"The processor stores nothing at the moment: {self._saving.failing}")
        if self.polled_at is not None:
            silent = (datetime.now(tz=UTC) - self.polled_at).total_seconds()
            if silent > _SILENCE:
                raise ResultStoreError(f"The processor has not looked for messages for {silent:.0f} s.")

    async def run(self) -> None:
        """Store until :meth:`stop` is called. A processor runs once.

        Raises:
            TopicNotFoundError: the topic of requests, of results or of progress does not exist.
            TransportError: Kafka cannot be reached at the start, or refuses what the processor needs.
            DatabaseError: the database refuses, and trying again will not help; what is in hand is not committed.
            ArchiveError, AnalyticsError: likewise the archive and ClickHouse.
        """
        async with AsyncExitStack() as stack:
            self._consumer = await self._start_consumer()
            stack.push_async_callback(aio.stop, self._consumer)
            stack.push_async_callback(self._in_hand.drop)
            working = asyncio.ensure_future(self._work())
            stopping = asyncio.ensure_future(self._stopping.wait())
            try:
                await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    await working
            finally:
                stopping.cancel()
                working.cancel()
                await asyncio.wait([working])
            await self._let_go()
            self._in_hand.raise_what_failed()
        log.info("Processor stopped")

    async def replay(self, since: datetime) -> ReplayReport:
        """Store again what was published at or after a time (aware), in no group; see :mod:`result_store.replay`.

        Raises:
            TransportError: Kafka cannot be reached, or refuses; or a topic is missing.
            DatabaseError, ArchiveError, AnalyticsError: as :meth:`run` raises them.
        """
        return await replay(self.kafka, self._saving, since, batch_size=self.settings.batch_size)

    async def _start_consumer(self) -> AIOKafkaConsumer:
        consumer = await aio.start_consumer(
            self.kafka,
            group_id=self.settings.group_id,
            fetch_max_wait_ms=_ms(_FETCH_MAX_WAIT),
            session_timeout_ms=_ms(self.settings.session_timeout),
            heartbeat_interval_ms=_ms(min(_HEARTBEAT_INTERVAL, self.settings.session_timeout / 3)),
            rebalance_timeout_ms=_ms(LET_GO_PATIENCE + _REJOIN_MARGIN),
            # By range one processor has the same partition of every topic, so all that is told of a run. One strategy alone:
            # aiokafka 0.14 joins once for each, which has two members interrupt each other's joining for ever.
            partition_assignment_strategy=(RangePartitionAssignor,),
        )
        try:
            self._intake.attach(consumer)
            self._in_hand.attach(consumer)
            self._topics = await existing_topics(consumer, self.kafka, self._roles)
            self._look_again_at = time.monotonic() + self.kafka.metadata_max_age
            consumer.subscribe(self._topics, listener=self._assignment)
        except BaseException:
            await aio.stop(consumer)
            raise
        log.info(
            "Processor started: group %s, topics %s at %s",
            self.settings.group_id,
            ", ".join(self._topics),
            self.kafka.bootstrap_servers,
        )
        return consumer

    async def _work(self) -> None:
        retrying = async_transport_retrying(float("inf"))
        in_hand, interval = self._in_hand, self.settings.poll_interval
        while True:
            in_hand.raise_what_failed()
            if in_hand.filling.room == 0 or (in_hand.is_idle and in_hand.is_due(interval)):
                await in_hand.hand_over()
                continue
            await self._look_for_topics()
            self._take(await retrying(self._fetch))
            in_hand.note_lag({partition: self._intake.position(partition) for partition in self._assignment.held})

    async def _fetch(self) -> list[tuple[TopicPartition, StoredMessage]]:
        self.polled_at = datetime.now(tz=UTC)
        filling, wait = self._in_hand.filling, _TICK
        if filling.since is not None:
            wait = min(wait, filling.since + self.settings.poll_interval - time.monotonic())
        with aio.map_errors(self.kafka, "read"):
            return await self._intake.read(
                self._assignment.held, min(_AT_ONCE, filling.room), timeout_ms=max(1, _ms(wait))
            )

    def _take(self, found: list[tuple[TopicPartition, StoredMessage]]) -> None:
        now, filling = time.monotonic(), self._in_hand.filling
        for partition, record in found:
            fact = fact_of(record, self._roles[partition.topic], self.kafka, self._signatures)
            filling.add(partition, record, fact, now=now)
        for partition in {partition for partition, _ in found}:
            filling.reach(partition, self._intake.position(partition))

    async def _look_for_topics(self) -> None:
        """Read topics of dead letters too that were made meanwhile."""
        if len(self._topics) == len(self._roles) or time.monotonic() < self._look_again_at:
            return
        self._look_again_at = time.monotonic() + self.kafka.metadata_max_age
        try:
            topics = await existing_topics(self._consumer, self.kafka, self._roles)
        except TransportError as error:
            log.debug("Whether there are new topics of dead letters is not known: %s", error)
            return
        if set(topics) > set(self._topics):
            self._topics = topics
            self._consumer.subscribe(topics, listener=self._assignment)

    async def _let_go(self) -> None:
        self._intake.drop()
        await self._in_hand.let_go()
        for partition in self._assignment.held:
            self._metrics.gone(partition.topic, partition.partition)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)

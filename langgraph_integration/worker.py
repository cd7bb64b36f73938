"""The worker: takes requests from Kafka, runs graphs, publishes results, commits what is done."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError

from langgraph_integration.cancellations import Cancellations
from langgraph_integration.checkpointers import open_checkpointer
from langgraph_integration.control_reader import ControlReader
from langgraph_integration.execution import GraphRunner
from langgraph_integration.graph_registry import GraphRegistry
from langgraph_integration.health import HealthEndpoint
from langgraph_integration.membership import Membership
from langgraph_integration.partitions import HeldPartitions
from langgraph_integration.progress import Progress
from langgraph_integration.publishing import Publisher
from langgraph_integration.releasing import release
from langgraph_integration.request_handling import RequestHandler
from langgraph_integration.signals import on_stop_signals
from langgraph_integration.worker_settings import WorkerSettings
from workflow_events.errors import ConfigurationError, WorkflowEventsError
from workflow_events.payloads import Payloads
from workflow_events.retry import async_transport_retrying
from workflow_events.settings import KafkaSettings
from workflow_events.task_groups import first_error
from workflow_events.transport import aio

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from langgraph_integration.error_policy import ErrorPolicy

__all__ = ["WorkflowWorker"]

log = logging.getLogger(__name__)

# Seconds.
_COMMIT_INTERVAL = 0.1
_HEARTBEAT_INTERVAL = 3.0
_POLL_TIMEOUT = 60.0
_TOUCH_INTERVAL = 60.0  # while full: far below the poll interval after which aiokafka leaves the group
_MAX_POLL_INTERVAL = 300.0
_REJOIN_MARGIN = 15.0  # beyond the time that leaving partitions takes, to rejoin the group
_STOP_PATIENCE = 5.0
_CATCH_UP_PATIENCE = 10.0  # for what the control topic holds when the worker starts
_LEASE_PATIENCE = 0.05  # of a session
_NOWHERE = TopicPartition("", 0)


class WorkflowWorker:
    """Runs graphs for requests, as a member of a consumer group.

    ::

        worker = WorkflowWorker(KafkaSettings(), graphs={"summarise": graph})
        asyncio.run(worker.run())

    A request is committed only once its result is stored by all in-sync replicas. What is in hand when a worker dies is
    delivered to another, which goes on from the last checkpoint where there is a checkpointer.

    Args:
        settings: where Kafka is and what the topics are called; the environment's where None.
        graphs: by name; see :class:`~langgraph_integration.graph_registry.GraphRegistry` for what may stand there.
        worker_settings: everything else; the environment's where None.
        checkpointer: for graphs without one of their own; None: what ``worker_settings.checkpointer`` names.
        error_policy: which errors are worth another try, and whose messages may leave the worker; None: what
            ``worker_settings`` say.

    Raises:
        ConfigurationError: the settings do not hold, or there is no graph.
    """

    def __init__(
        self,
        settings: KafkaSettings | None = None,
        graphs: Mapping[str, object] | None = None,
        *,
        worker_settings: WorkerSettings | None = None,
        checkpointer: BaseCheckpointSaver[Any] | None = None,
        error_policy: ErrorPolicy | None = None,
    ) -> None:
        self.settings = settings or KafkaSettings()
        self.graphs = dict(graphs or {})
        if not self.graphs:
            raise ConfigurationError("A worker needs at least one graph: pass graphs={...}, or a langgraph.json")
        self.worker_settings = worker_settings or WorkerSettings()
        self.checkpointer = checkpointer
        self.error_policy = error_policy or self.worker_settings.error_policy()
        self.stopping = asyncio.Event()
        """Set once the worker has been told to stop."""
        self.counts: Counter[str] = Counter()
        """What became of the messages so far; see :class:`~langgraph_integration.request_handling.RequestHandler`."""
        self._hurry = asyncio.Event()
        self._ready = asyncio.Event()
        self._membership = Membership(self.worker_settings.session_timeout)
        self._held = HeldPartitions(
            self.settings,
            rebalance_timeout=self.worker_settings.rebalance_timeout,
            max_uncommitted=self.worker_settings.max_uncommitted,
            max_crashes=self.worker_settings.max_crashes,
            membership=self._membership,
        )
        # As many again as can run wait in hand, so that a slot which becomes free is filled at once.
        self._most_in_hand = 2 * self.worker_settings.concurrency
        self.progress = (
            Progress(self.settings, heartbeat_interval=self.worker_settings.heartbeat_interval)
            if self.worker_settings.progress
            else None
        )
        """Tells the progress topic what runs do; None where ``worker_settings.progress`` is off."""
        self.health = HealthEndpoint(self._held, self.worker_settings)

    async def run(self, *, handle_signals: bool = True) -> None:
        """Work until :meth:`stop` is called, then drain. A worker runs once.

        Args:
            handle_signals: SIGTERM and SIGINT stop the worker; a second one hands everything back at once. Only in the
                main thread.

        Raises:
            ConfigurationError: a graph or the checkpointer cannot be used.
            TransportError: Kafka cannot be reached at the start, or refuses what the worker needs.
        """
        try:
            async with AsyncExitStack() as stack:
                handler, consumer = await self._open(stack)
                if handle_signals:
                    stack.enter_context(on_stop_signals(self.stop))
                await self._work(handler, consumer)
        finally:
            self._ready.clear()
            log.info("Worker stopped")

    def stop(self) -> None:
        """Fetch no more; let steps end for ``drain_timeout``, then hand back what is left. A second call skips the wait."""
        if self.stopping.is_set():
            self._hurry.set()
        self.stopping.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """The worker at work, for a program that has more to do: it has joined the group on entry, and drains on exit."""
        with first_error():
            async with asyncio.TaskGroup() as tasks:
                work = tasks.create_task(self.run(handle_signals=False))
                ready = tasks.create_task(self._ready.wait())
                await asyncio.wait([work, ready], return_when=asyncio.FIRST_COMPLETED)
                ready.cancel()
                if work.done():
                    await work
                try:
                    yield self
                finally:
                    self.stopping.set()

    async def _open(self, stack: AsyncExitStack) -> tuple[RequestHandler, AIOKafkaConsumer]:
        options = self.worker_settings
        checkpointer = self.checkpointer or await stack.enter_async_context(
            open_checkpointer(options.checkpointer.get_secret_value(), connections=options.checkpointer_connections)
        )
        graphs = await stack.enter_async_context(GraphRegistry(self.graphs, checkpointer=checkpointer))
        producer = await aio.start_producer(self.settings)
        stack.push_async_callback(producer.stop)
        runner = GraphRunner(
            graphs.choose,
            run_timeout=options.run_timeout,
            recursion_limit=options.recursion_limit,
            error_policy=self.error_policy,
            take_payload=Payloads(self.settings).atake,
        )
        publisher = Publisher(producer, self.settings)
        if self.progress is not None:
            await stack.enter_async_context(self.progress.telling())
        cancellations = Cancellations()
        await self._hear_cancels(stack, cancellations)
        handler = RequestHandler(
            runner,
            publisher,
            self.settings,
            concurrency=options.concurrency,
            cancellations=cancellations,
            progress=self.progress,
            max_crashes=options.max_crashes,
        )
        self.counts = handler.counts
        consumer = await aio.start_consumer(
            self.settings,
            self.settings.workflow_events_topic,
            group_id=options.group_id,
            listener=self._held,
            auto_offset_reset="earliest",
            session_timeout_ms=_ms(options.session_timeout),
            heartbeat_interval_ms=_ms(min(_HEARTBEAT_INTERVAL, options.session_timeout / 3)),
            rebalance_timeout_ms=_ms(options.rebalance_timeout + _REJOIN_MARGIN),
            max_poll_interval_ms=_ms(max(_MAX_POLL_INTERVAL, options.drain_timeout + _TOUCH_INTERVAL)),
        )
        stack.push_async_callback(consumer.stop)
        self._held.attach(consumer)
        aio.on_heartbeat(consumer, self._membership.confirm)
        stack.push_async_callback(self._commit_the_last)
        await stack.enter_async_context(self.health.serving(consumer))
        log.info(
            "Worker started: graphs %s, group %s, topic %s at %s",
            ", ".join(graphs.names),
            options.group_id,
            self.settings.workflow_events_topic,
            self.settings.bootstrap_servers,
        )
        return handler, consumer

    async def _hear_cancels(self, stack: AsyncExitStack, cancellations: Cancellations) -> None:
        """Read the control topic from here on; returns once what was there is read, or has had its time to be."""
        look_back = self.worker_settings.cancel_look_back
        reader = ControlReader(self.settings, look_back=look_back, on_cancel=cancellations.add)
        hearing = asyncio.create_task(reader.run())
        stack.push_async_callback(_ended, hearing)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_PATIENCE):
                await reader.caught_up.wait()

    async def _work(self, handler: RequestHandler, consumer: AIOKafkaConsumer) -> None:
        with first_error():
            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(self._poll(consumer, handler, tasks)),
                    tasks.create_task(self._commit_regularly()),
                    tasks.create_task(self._let_go_when_cut_off()),
                    tasks.create_task(self._announce()),
                ]
                await self.stopping.wait()
                background[0].cancel()
                await self._drain()
                for task in background[1:]:
                    task.cancel()

    async def _poll(self, consumer: AIOKafkaConsumer, handler: RequestHandler, tasks: asyncio.TaskGroup) -> None:
        retrying = async_transport_retrying(float("inf"))
        held = self._held
        while True:
            room = self._most_in_hand - held.in_hand
            if room <= 0:
                await self._wait_for_room()
                # Reads nothing, and tells aiokafka that this consumer is alive.
                await consumer.getmany(_NOWHERE, timeout_ms=0)
                continue
            if held.assigned.is_set() and not self._membership.holds:
                await asyncio.sleep(_COMMIT_INTERVAL)
                await consumer.getmany(_NOWHERE, timeout_ms=0)
                continue
            batches: dict[TopicPartition, list[Any]] = await retrying(self._fetch, consumer, room)
            for partition, records in batches.items():
                if held.assigned.is_set() and not self._membership.holds:
                    held.go_back(partition, records[0].offset)
                    continue
                for record in records:
                    delivery = held.take(partition, record)
                    if delivery is not None:
                        handling = handler.handle(
                            record,
                            delivery.start,
                            delivery.hand_over,
                            on_answer=delivery.answer,
                            crash_guard=delivery,
                        )
                        task = tasks.create_task(handling)
                        delivery.task = task
                        task.add_done_callback(partial(held.settle, delivery))

    async def _fetch(self, consumer: AIOKafkaConsumer, room: int) -> dict[TopicPartition, list[Any]]:
        with aio.map_errors(self.settings, "read requests", topic=self.settings.workflow_events_topic):
            batches: dict[TopicPartition, list[Any]] = await consumer.getmany(
                timeout_ms=_ms(_POLL_TIMEOUT), max_records=room
            )
            return batches

    async def _wait_for_room(self) -> None:
        """Waits until a good part of what is in hand has ended, so that fetching is not done one by one."""
        enough = self._most_in_hand - max(1, self.worker_settings.concurrency // 2)
        try:
            async with asyncio.timeout(_TOUCH_INTERVAL):
                while self._held.in_hand > enough:
                    self._held.changed.clear()
                    await self._held.changed.wait()
        except TimeoutError:
            return

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_INTERVAL)
            try:
                await self._held.commit()
            except CommitFailedError as error:
                log.warning("Offsets not committed, for the group is rebalancing: %s", error)

    async def _let_go_when_cut_off(self) -> None:
        """Stop all runs once the group may have given them to others, of which a worker that is cut off is not told."""
        while True:
            await asyncio.sleep(max(_COMMIT_INTERVAL, self._membership.remaining))
            if self._membership.holds or not self._held.in_hand:
                continue
            # After a moment in which this process itself stood still, a heartbeat is confirmed at once if all is well.
            await asyncio.sleep(_LEASE_PATIENCE * self._membership.session_timeout)
            if not self._membership.holds:
                handed_back = await self._held.let_go()
                log.warning(
                    "The group has confirmed no heartbeat for %g s and may have given this worker's partitions to others: "
                    "%d requests handed back. Check the network to %s.",
                    self._membership.session_timeout,
                    handed_back,
                    self.settings.bootstrap_servers,
                )

    async def _announce(self) -> None:
        await self._held.assigned.wait()
        self._ready.set()

    async def _drain(self) -> None:
        deliveries = self._held.deliveries()
        log.info(
            "Worker draining: %d requests in hand get %g s to end", len(deliveries), self.worker_settings.drain_timeout
        )
        ending = asyncio.ensure_future(release(deliveries, grace=self.worker_settings.drain_timeout))
        hurry = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait([ending, hurry], return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                await release(deliveries, grace=0.0)
            handed_back = await ending
        finally:
            hurry.cancel()
            ending.cancel()
        log.info("Worker drained, %d requests handed back", handed_back)

    async def _commit_the_last(self) -> None:
        try:
            async with asyncio.timeout(_STOP_PATIENCE):
                await self._held.commit(last=True)
        except (CommitFailedError, WorkflowEventsError, TimeoutError) as error:
            log.warning("The last offsets are not committed, so their results will be published again: %s", error)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("Cancels were no longer heard", exc_info=error)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)

"""The worker: takes requests from Kafka, runs graphs, publishes results, commits what is done."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from aiokafka.errors import CommitFailedError

from langgraph_integration.cancellations import Cancellations
from langgraph_integration.checkpointers import open_checkpointer
from langgraph_integration.control_reader import ControlReader
from langgraph_integration.execution import GraphRunner
from langgraph_integration.fetching import TOUCH_INTERVAL, Fetching
from langgraph_integration.graph_registry import GraphRegistry
from langgraph_integration.health import HealthEndpoint
from langgraph_integration.membership import Membership
from langgraph_integration.partitions import HeldPartitions
from langgraph_integration.progress import Progress
from langgraph_integration.publishing import Publisher
from langgraph_integration.releasing import release
from langgraph_integration.request_handling import RequestHandler
from langgraph_integration.transactions import Transactions
from langgraph_integration.worker_settings import WorkerSettings
from workflow_events.errors import ConfigurationError, WorkflowEventsError
from workflow_events.payloads import Payloads
from workflow_events.settings import KafkaSettings
from workflow_events.signals import on_stop_signals
from workflow_events.task_groups import first_error
from workflow_events.transport import aio

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aiokafka import AIOKafkaConsumer
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from langgraph_integration.deliveries import Delivery
    from langgraph_integration.error_policy import ErrorPolicy

__all__ = ["WorkflowWorker"]

log = logging.getLogger(__name__)

# Seconds.
_COMMIT_INTERVAL = 0.1
_HEARTBEAT_INTERVAL = 3.0
_MAX_POLL_INTERVAL = 300.0
_REJOIN_MARGIN = 15.0  # beyond the time that leaving partitions takes, to rejoin the group
_STOP_PATIENCE = 5.0
_LEASE_PATIENCE = 0.05  # of a session


class WorkflowWorker:
    """Runs graphs for requests, as a member of a consumer group.

    ::

        worker = WorkflowWorker(KafkaSettings(), graphs={"summarise": graph})
        asyncio.run(worker.run())

    A request is committed in one transaction with its result, or once that is stored by all in-sync replicas. What is in
    hand when a worker dies is delivered to another, which goes on from the last checkpoint where there is a checkpointer.

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
        self._fetching = Fetching(
            self.settings, self._held, self._membership, concurrency=self.worker_settings.concurrency
        )
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
        transactions = Transactions(self.settings, self._held, self._membership, options)
        publisher = Publisher(producer, self.settings, transactions)
        if self.progress is not None:
            await stack.enter_async_context(self.progress.telling())
        cancellations = Cancellations()
        control = ControlReader(self.settings, look_back=options.cancel_look_back, on_cancel=cancellations.add)
        await stack.enter_async_context(control.reading())
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
            max_poll_interval_ms=_ms(max(_MAX_POLL_INTERVAL, options.drain_timeout + TOUCH_INTERVAL)),
        )
        stack.push_async_callback(consumer.stop)
        self._held.attach(consumer)
        aio.on_heartbeat(consumer, self._membership.confirm)
        stack.push_async_callback(self._commit_the_last)
        await stack.enter_async_context(transactions.running(consumer))
        await stack.enter_async_context(self.health.serving(consumer))
        log.info(
            "Worker started: graphs %s, group %s, topic %s at %s",
            ", ".join(graphs.names),
            options.group_id,
            self.settings.workflow_events_topic,
            self.settings.bootstrap_servers,
        )
        return handler, consumer

    async def _work(self, handler: RequestHandler, consumer: AIOKafkaConsumer) -> None:
        with first_error():
            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(self._fetching.run(consumer, tasks, partial(_handle, handler))),
                    tasks.create_task(self._commit_regularly()),
                    tasks.create_task(self._let_go_when_cut_off()),
                    tasks.create_task(self._announce()),
                ]
                await self.stopping.wait()
                background[0].cancel()
                await self._drain()
                for task in background[1:]:
                    task.cancel()

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_INTERVAL)
            try:
                await self._held.commits.commit()
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
                if not handed_back:
                    continue  # what is in hand has ended, and its results wait for the lease
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
                await self._held.commits.commit(last=True)
        except (CommitFailedError, WorkflowEventsError, TimeoutError) as error:
            log.warning("The last offsets are not committed, so their results will be published again: %s", error)


def _handle(handler: RequestHandler, delivery: Delivery) -> Coroutine[Any, Any, None]:
    return handler.handle(
        delivery.record, delivery.start, delivery.hand_over, on_answer=delivery.answer, delivery=delivery
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)

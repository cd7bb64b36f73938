"""Results, and the offsets of the requests that they answer, in transactions: one after another, each with all that have ended.

Waiters, who read committed messages, see a result exactly when its request counts as done for the group. So a worker that dies
leaves no request that is answered and delivered again. Two things keep out a worker that its group has gone on without: the
broker refuses offsets of a generation that is over (KIP-447), and the worker itself ends no transaction once its lease is over
(:mod:`~langgraph_integration.membership`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import uuid4

from tenacity import RetryCallState, wait_random_exponential

from langgraph_integration.result_lanes import Lanes
from workflow_events.errors import TransportError
from workflow_events.retry import async_transport_retrying
from workflow_events.transport.transactions import (
    NoTransactionsError,
    TransactionalProducer,
    start_transactional_producer,
)

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

    from langgraph_integration.deliveries import Delivery
    from langgraph_integration.membership import Membership
    from langgraph_integration.partitions import HeldPartitions
    from langgraph_integration.worker_settings import WorkerSettings
    from workflow_events.settings import KafkaSettings
    from workflow_events.wire import OutgoingMessage

__all__ = ["TRANSACTION_TIMEOUT", "Transactions", "TransactionsOffError"]

log = logging.getLogger(__name__)

# Seconds.
TRANSACTION_TIMEOUT: Final = 10.0
"""After which the broker aborts what a dead worker has left open. Until then nobody reads on behind it."""
_PATIENCE: Final = 5.0
_STOP_PATIENCE: Final = 5.0
_LOOK_AGAIN: Final = 0.05

_wait = wait_random_exponential(multiplier=0.1, max=5.0)


class TransactionsOffError(TransportError):
    """There are no transactions here, or no more."""


class _Ended(NamedTuple):
    message: OutgoingMessage
    delivery: Delivery
    committed: asyncio.Future[None]


class Transactions:
    """Publishes results in transactions.

    Args:
        settings: where and how to connect.
        held: the partitions whose offsets go with the results.
        membership: whether they are still ours.
        options: whether transactions are wanted; and the group, whose name begins the transactional id, so that a right can
            be given by prefix.
    """

    def __init__(
        self, settings: KafkaSettings, held: HeldPartitions, membership: Membership, options: WorkerSettings
    ) -> None:
        self.transactional_id = f"{options.group_id}-{uuid4().hex}"
        self._wanted = options.transactions
        self.on = False
        """Whether results go out in transactions."""
        self._settings = settings
        self._held = held
        self._membership = membership
        self._producer: TransactionalProducer | None = None
        self._consumer: AIOKafkaConsumer = None
        self._lanes: Lanes[_Ended] = Lanes(_backoff)
        self._more = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @asynccontextmanager
    async def running(self, consumer: AIOKafkaConsumer) -> AsyncIterator[None]:
        """Transactions are on while inside, where the broker has them and lets us.

        Args:
            consumer: the member of the group.
        """
        if not self._wanted:
            yield
            return
        self._consumer = consumer
        try:
            self._producer = await self._start()
        except TransportError as error:
            self._say_why_not(error)
            yield
            return
        self.on = True
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self.on = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_PATIENCE):
                    await self._idle.wait()
            task.cancel()
            await asyncio.wait([task])
            if self._producer is not None:
                await self._producer.abandon()

    async def publish(self, message: OutgoingMessage, delivery: Delivery) -> None:
        """Publish a result together with the offset of its request; it has both when this returns.

        Args:
            message: made ready.
            delivery: its request.

        Raises:
            TransactionsOffError: not in a transaction, then.
            TransportError: this message cannot be published, and waiting will not help.
            asyncio.CancelledError: the request is another worker's by now, who will answer it.
        """
        if not self.on or self._lanes.is_sick(message.topic, asyncio.get_running_loop().time()):
            raise TransactionsOffError("no transactions here and now")
        ended = _Ended(message, delivery, asyncio.get_running_loop().create_future())
        self._lanes.add(message.topic, ended)
        self._more.set()
        await ended.committed

    async def _run(self) -> None:
        try:
            while True:
                await self._step()
        except BaseException as error:
            self._turn_off(error)
            raise

    async def _step(self) -> None:
        now = asyncio.get_running_loop().time()
        self._more.clear()
        self._lanes.keep(self._is_wanted)
        delay = self._lanes.delay(now)
        if delay is None or delay > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._more.wait()
        elif not self._membership.holds:
            await asyncio.sleep(_LOOK_AGAIN)  # the lease may be renewed, or the partitions be taken away
        elif self._producer is None:
            await self._start_again()
        else:
            self._idle.clear()
            try:
                await self._commit_the_next(self._producer, self._lanes.take(now))
            finally:
                self._idle.set()

    async def _commit_the_next(self, producer: TransactionalProducer, taken: dict[str, list[_Ended]]) -> None:
        batch = [one for results in taken.values() for one in results]
        deliveries = [one.delivery for one in batch]
        try:
            async with self._held.commits.with_transaction(deliveries) as offsets:
                await producer.transact(
                    [one.message for one in batch],
                    offsets,
                    self._consumer,
                    may_commit=lambda: self._membership.holds and all(map(self._held.holds, deliveries)),
                    patience=_PATIENCE,
                )
                for delivery in deliveries:
                    self._held.end(delivery)
        except TransportError as error:
            self._producer = None
            await producer.abandon()
            if error.retryable:
                log.warning("%s; the %d results in it are published again", error, len(batch))
                given_up = self._lanes.failed(taken, asyncio.get_running_loop().time())
                _fail(given_up, TransactionsOffError("not for this topic now"))
            else:
                _fail(self._lanes.refused(taken), error)
            return
        except BaseException as error:
            _fail(batch, error)
            raise
        self._lanes.succeeded(taken)
        for one in batch:
            if not one.committed.done():
                one.committed.set_result(None)

    async def _start(self) -> TransactionalProducer:
        return await start_transactional_producer(
            self._settings,
            self.transactional_id,
            transaction_timeout=TRANSACTION_TIMEOUT,
            patience=self._settings.connect_timeout,
        )

    async def _start_again(self) -> None:
        try:
            async for attempt in async_transport_retrying(math.inf):
                with attempt:
                    self._producer = await self._start()
        except TransportError as error:
            self._say_why_not(error)
            self._turn_off(TransactionsOffError("no transactions any more"))

    def _is_wanted(self, one: _Ended) -> bool:
        """Whether a result is still to be published. The handling of a request that is another's by now is cancelled."""
        if not one.committed.done() and not self._held.holds(one.delivery):
            one.committed.cancel()
        return not one.committed.done()

    def _turn_off(self, error: BaseException) -> None:
        """Give all who wait an error."""
        self.on = False
        _fail(self._lanes.clear(), error)

    def _say_why_not(self, error: TransportError) -> None:
        after = "results are published first, and the offsets of their requests committed after that"
        if isinstance(error, NoTransactionsError):
            log.info("%s; %s", error, after)
        else:
            log.warning("Results are not published in transactions: %s So %s.", error, after)


def _fail(every: list[_Ended], error: BaseException) -> None:
    for one in every:
        if isinstance(error, asyncio.CancelledError):
            one.committed.cancel()
        elif not one.committed.done():
            one.committed.set_exception(error)


def _backoff(failures: int) -> float:
    state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]
    state.attempt_number = failures
    return _wait(state)

"""Messages and a group's offsets in one Kafka transaction, through aiokafka: all of it, or none.

Pattern: consume, process, produce (KIP-98). A producer serves one transaction after another until one fails; then it is
abandoned. The next one with the same transactional id aborts on the broker what this one has left there, and fences it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from aiokafka.client import CoordinationType
from aiokafka.errors import (
    IllegalOperation,
    IncompatibleBrokerVersion,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownError,
    UnsupportedVersionError,
)
from aiokafka.producer.sender import TxnOffsetCommitHandler
from aiokafka.structs import OffsetAndMetadata

from workflow_events.errors import TransportError, WorkflowEventsError
from workflow_events.transport import aio
from workflow_events.transport.aio_sending import FOREIGN
from workflow_events.transport.faults import translate
from workflow_events.transport.timing import TOPIC_PATIENCE
from workflow_events.transport.transactional_offsets import FENCED, FencedOffsets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from aiokafka import AIOKafkaConsumer, TopicPartition

    from workflow_events.settings import KafkaSettings
    from workflow_events.wire import OutgoingMessage

__all__ = [
    "NoTransactionsError",
    "TransactionAbortedError",
    "TransactionalProducer",
    "start_transactional_producer",
]

_NONE_HERE = (UnknownError, UnsupportedVersionError, IncompatibleBrokerVersion, NotImplementedError)
"""What a broker, or aiokafka for it, says where there are no transactions."""

# The transaction's own troubles. aiokafka asserts its state, and wraps in a bare KafkaError what it had not thought of.
_TROUBLES = (
    AssertionError,
    IllegalOperation,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
)


_STEPS = (
    "_send_produce_req",
    "_do_add_partitions_to_txn",
    "_do_add_offsets_to_txn",
    "_do_txn_offset_commit",
    "_do_txn_commit",
)
_LOOK_AGAIN = 0.05  # seconds


class NoTransactionsError(TransportError):
    """The broker has no transactions."""


class TransactionAbortedError(TransportError):
    """A transaction did not come to its end, for a reason that is not its messages'; nothing of it is committed."""

    retryable: ClassVar[bool] = True


class TransactionalProducer(aio.Producer):
    """A producer whose messages, and a group's offsets with them, are committed together.

    Args:
        settings: where and how to connect.
        transactional_id: two producers with one id fence each other.
        timeout: seconds after which the broker aborts a transaction that nobody ends.
    """

    def __init__(self, settings: KafkaSettings, transactional_id: str, timeout: float) -> None:
        super().__init__(settings, transactional_id=transactional_id, transaction_timeout_ms=round(timeout * 1000))
        self._member: AIOKafkaConsumer = None
        self._at_work: set[asyncio.Task[Any]] = set()
        sender = self._sender

        async def commit_offsets(offsets: dict[TopicPartition, OffsetAndMetadata], group_id: str) -> None:
            node = await sender._find_coordinator(CoordinationType.GROUP, group_id)  # noqa: SLF001
            try:
                await FencedOffsets(sender, offsets, self._member).do(node)
            except NotImplementedError:  # a broker before 2.5 fences no members
                await TxnOffsetCommitHandler(sender, offsets, group_id).do(node)

        sender._do_txn_offset_commit = commit_offsets  # noqa: SLF001
        for name in _STEPS:
            setattr(sender, name, self._noting(getattr(sender, name)))

    async def start(self) -> None:
        """Connect, and have the broker end what an earlier producer with this id has left open."""
        await super().start()
        # aiokafka puts an error that comes before the first transaction here, and would find nothing to put it into.
        self._txn_manager._transaction_waiter = done = asyncio.get_running_loop().create_future()  # noqa: SLF001
        done.set_result(None)

    async def transact(
        self,
        messages: Sequence[OutgoingMessage],
        offsets: Mapping[TopicPartition, tuple[int, str]],
        member: AIOKafkaConsumer,
        *,
        may_commit: Callable[[], bool],
        patience: float,
    ) -> None:
        """Publish messages and commit offsets in one transaction; when this returns, both are.

        Whatever it raises, none of both is: abandon the producer. After a cancellation alone that is not known.

        Args:
            messages: made ready, for topics that exist.
            offsets: each with its metadata.
            member: of the group whose offsets they are.
            may_commit: asked at the last moment.
            patience: seconds for all but the commit itself, which is waited for until it is known what became of it.

        Raises:
            TransactionAbortedError: another producer may have more luck with the same.
            TransportError: another one of the tree; of a transaction with one message it is about that message.
        """
        try:
            async with asyncio.timeout(patience):
                await self._send_all(messages, offsets, member)
            if not may_commit():
                raise TransactionAbortedError(
                    "The group may have given the requests of a transaction to another worker"
                )
            await self.commit_transaction()
        except TimeoutError as error:
            raise TransactionAbortedError(
                f"A transaction at {self.settings.bootstrap_servers} did not get its messages stored within {patience:g} s"
            ) from error
        except WorkflowEventsError:
            raise
        except (*FOREIGN, AssertionError) as error:
            raise self._translated(self._cause() or error, messages) from error

    async def abandon(self) -> None:
        """Close the connections at once, whatever is under way.

        ``stop()`` would have aiokafka's sender finish its steps, each of which goes on for ever while no broker answers.
        """
        self._closed = True
        await self.look_ups.cancel()
        sending = self._sender.sender_task
        while sending is not None and not sending.done():
            for task in (sending, *self._at_work):
                task.cancel()
            await asyncio.wait([sending], timeout=_LOOK_AGAIN)
        await self.client.close()
        self._cause()
        for batches in self._message_accumulator._batches.values():  # noqa: SLF001
            for batch in batches:
                _seen_to(batch._drain_waiter)  # noqa: SLF001

    def _noting(self, step: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """A step of aiokafka's sender, in a task of its own that is noted while it is at work."""

        async def noted(*arguments: Any) -> Any:
            if (task := asyncio.current_task()) is not None:
                self._at_work.add(task)
                task.add_done_callback(self._at_work.discard)
            return await step(*arguments)

        return noted

    async def _send_all(
        self,
        messages: Sequence[OutgoingMessage],
        offsets: Mapping[TopicPartition, tuple[int, str]],
        member: AIOKafkaConsumer,
    ) -> None:
        for topic in {message.topic for message in messages}:
            if not self.client.cluster.partitions_for_topic(topic):
                await self.look_ups.wait(topic, TOPIC_PATIENCE)
        await self.begin_transaction()
        transaction = self._txn_manager
        transaction._transaction_waiter.add_done_callback(_seen_to)  # noqa: SLF001
        sent = []
        for one in messages:
            sent.append(await self.send(one.topic, one.value, one.key, one.partition, headers=one.headers))
            sent[-1].add_done_callback(_seen_to)
        if offsets:
            self._member = member
            group_id = member._coordinator.group_id  # noqa: SLF001
            structured = {partition: OffsetAndMetadata(*stand) for partition, stand in offsets.items()}
            sent.append(transaction.add_offsets_to_txn(structured, group_id))
            sent[-1].add_done_callback(_seen_to)
        await asyncio.gather(*sent)

    def _cause(self) -> BaseException | None:
        """What aiokafka holds against the transaction."""
        waiter = self._txn_manager._transaction_waiter  # noqa: SLF001
        if waiter is None or not waiter.done() or waiter.cancelled():
            return None
        found: BaseException | None = waiter.exception()
        return found

    def _translated(self, error: BaseException, messages: Sequence[OutgoingMessage]) -> WorkflowEventsError:
        fenced = isinstance(error, KafkaError) and error.errno in FENCED
        if fenced or isinstance(error, _TROUBLES) or type(error) is KafkaError:
            return TransactionAbortedError(
                f"A transaction at {self.settings.bootstrap_servers} was not committed "
                f"({type(error).__name__}: {error})"
            )
        only = messages[0] if len(messages) == 1 else None
        return translate(
            error,
            action="publish",
            settings=self.settings,
            topic=only.topic if only else None,
            size=len(only.value) if only else None,
        )


async def start_transactional_producer(
    settings: KafkaSettings, transactional_id: str, *, transaction_timeout: float, patience: float
) -> TransactionalProducer:
    """A started producer. ``stop()`` it, or ``abandon()`` it after a failure.

    Args:
        transaction_timeout: seconds after which the broker aborts a transaction that nobody ends.
        patience: seconds that the broker's transaction coordinator is waited for.

    Raises:
        NoTransactionsError: the broker has none.
        AccessDeniedError: the user may not have this transactional id.
        TransportError: another one of the tree.
    """
    producer = TransactionalProducer(settings, transactional_id, transaction_timeout)
    try:
        with aio.map_errors(settings, f"use the transactional id {transactional_id!r}"), aio.quiet_refusal():
            async with asyncio.timeout(patience):
                await producer.start()
    except BaseException as error:
        await producer.abandon()
        if isinstance(error.__cause__ or error, _NONE_HERE):
            raise NoTransactionsError(f"{settings.bootstrap_servers} has no transactions ({error})") from error
        raise
    return producer


def _seen_to(future: asyncio.Future[Any]) -> None:
    """Asyncio logs an exception that nobody has asked for; who waits for this one gets it by another way too."""
    if future.done() and not future.cancelled():
        future.exception()

"""How a worker's messages get out: for certain, or not at all."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, retry_if_exception, stop_never, wait_random_exponential

from langgraph_integration.dead_letters import without_value
from langgraph_integration.error_details import describe_error
from langgraph_integration.errors import ResultTooLargeError
from langgraph_integration.transactions import TransactionsOffError
from workflow_events.errors import DeliveryError, MessageTooLargeError, TransportError
from workflow_events.events import ResultStatus, WorkflowResultEvent
from workflow_events.settings_checks import TOPIC_NAME
from workflow_events.transport import aio
from workflow_events.wire import OutgoingMessage, ReturnAddress, result_message

if TYPE_CHECKING:
    from langgraph_integration.deliveries import Delivery
    from langgraph_integration.transactions import Transactions
    from workflow_events.settings import KafkaSettings

__all__ = ["Publisher", "UndeliverableError", "shortened"]

logger = logging.getLogger(__name__)

_FIRST_WINDOW = 0.2  # seconds
_LONGEST_WAIT = 5.0
_LONGEST_SHOWN = 100  # characters of a name that is none


class UndeliverableError(TransportError):
    """A result cannot get to the return address that its request gave; the address is at fault, not the worker."""


class Publisher:
    """Publishes with acks from all in-sync replicas, and goes on trying while the broker is away.

    A message may be stored twice where a confirmation was lost; readers take the first.

    Args:
        producer: started.
        settings: name the topics.
        transactions: publish results together with the offsets of their requests; None: nobody does.
    """

    def __init__(
        self, producer: aio.Producer, settings: KafkaSettings, transactions: Transactions | None = None
    ) -> None:
        self._producer = producer
        self._settings = settings
        self._transactions = transactions

    async def publish_result(
        self,
        result: WorkflowResultEvent,
        address: ReturnAddress | None = None,
        *,
        answers: Delivery | None = None,
    ) -> int:
        """Publish a result to a return address, or to the results topic. One that is too large becomes an error result.

        Returns:
            The size of the published value, in bytes.

        Raises:
            UndeliverableError: the address cannot be published to.
            TransportError: the results topic cannot be published to, and waiting will not help.
        """
        target = address or ReturnAddress(self._settings.workflow_results_topic)
        try:
            self._check(target)
            try:
                message = result_message(result, topic=target.topic, partition=target.partition)
                await self._send(message, answers)
            except MessageTooLargeError as error:
                short = shortened(result, error)
                message = result_message(short, topic=target.topic, partition=target.partition)
                await self._send(message, answers)
        except TransportError as error:
            if target.topic == self._settings.workflow_results_topic and target.partition is None:
                raise
            raise UndeliverableError(f"The result cannot get to its return address {target}: {error}") from error
        return len(message.value)

    async def publish_dead_letter(self, letter: OutgoingMessage) -> bool:
        """Publish a dead letter; False, and an error in the log, where its topic cannot be published to."""
        try:
            try:
                await self._send(letter)
            except MessageTooLargeError:
                await self._send(without_value(letter))
        except TransportError:
            # The message itself still lies where it came from, and stopping would stop everyone else's requests.
            logger.exception("A dead letter could not be published; its headers: %s", letter.headers)
            return False
        return True

    def _check(self, target: ReturnAddress) -> None:
        if target.topic in {self._settings.workflow_events_topic, self._settings.workflow_control_topic}:
            raise UndeliverableError(f"topic {target.topic!r} is for requests, not for results")
        if not TOPIC_NAME.fullmatch(target.topic):  # else it is looked for, for as long as a new topic is waited for
            raise UndeliverableError(f"{target.topic[:_LONGEST_SHOWN]!r} is no topic name")

    async def _send(self, message: OutgoingMessage, answers: Delivery | None = None) -> None:
        try:
            await self._try(message, answers)
        except TransportError as error:
            if not _may_pass(error):
                raise
            logger.warning("%s; trying again until it is through", error)
            await _patiently(self._try, message, answers)

    async def _try(self, message: OutgoingMessage, answers: Delivery | None) -> None:
        if answers is not None and self._transactions is not None and self._transactions.on:
            ready = await aio.prepared(self._producer, message)
            with contextlib.suppress(TransactionsOffError):
                await self._transactions.publish(ready, answers)
                return
        await aio.send(self._producer, message)


def shortened(result: WorkflowResultEvent, cause: MessageTooLargeError) -> WorkflowResultEvent:
    """The error result that takes the place of one that is too large to publish."""
    error = ResultTooLargeError(
        f"The run ended with status {result.status.value!r}, and its result is too large. {cause}"
    )
    return result.model_copy(
        update={
            "status": ResultStatus.ERROR,
            "result": {},
            "interrupts": None,
            "error": str(error),
            "error_detail": describe_error(error),
        }
    )


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, DeliveryError) or (isinstance(error, TransportError) and error.retryable)


_patiently = AsyncRetrying(
    retry=retry_if_exception(_may_pass),
    stop=stop_never,
    wait=wait_random_exponential(multiplier=_FIRST_WINDOW, max=_LONGEST_WAIT),
    reraise=True,
)

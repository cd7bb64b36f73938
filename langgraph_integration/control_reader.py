"""Reads the control topic: every worker all of it, in no group, from a little while ago on.

A cancel is for whichever worker has the request, which nobody else knows; so it goes to all (pattern: Publish-Subscribe
Channel, Enterprise Integration Patterns). The look-back is for cancels that came before their request does, and for those
that came while the worker was down.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from aiokafka import TopicPartition
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from langgraph_integration.cancellations import cancel_in
from workflow_events.errors import InvalidEventError, WorkflowEventsError
from workflow_events.replies import topic_log
from workflow_events.replies.cursor import advance, clamp, from_times, reached
from workflow_events.signing import CONTROL_TYPES, Signatures
from workflow_events.turns import Turns
from workflow_events.wire import decode_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiokafka import AIOKafkaConsumer
    from aiokafka.structs import ConsumerRecord

    from langgraph_integration.cancellations import Cancel
    from workflow_events.settings import KafkaSettings

__all__ = ["ControlReader"]

log = logging.getLogger(__name__)

_CATCH_UP_PATIENCE = 10.0  # seconds, for what the topic holds at the start
_POLL_MS = 250
_MAX_RECORDS = 500
_FIRST_WINDOW, _LONGEST_WAIT = 0.2, 10.0  # seconds
_HEALTHY_SECONDS = 30.0
"""A session that lived this long was sound: what ends it begins a new backoff."""
_CHECK_SECONDS = 5.0
"""How often to look whether the topic has grown, or was made anew."""


class ControlReader:
    """Follows the control topic, across the broker's absences.

    Args:
        settings: where the topic is.
        look_back: seconds before its start from which on it reads.
        on_cancel: called with each cancel.

    Attributes:
        caught_up: set once all is read that was there at the start, or once it is known that the topic cannot be read now.
        ignored: messages that were no control event, too large, or not signed where keys are set.
    """

    def __init__(self, settings: KafkaSettings, *, look_back: float, on_cancel: Callable[[Cancel], object]) -> None:
        self.caught_up = asyncio.Event()
        self.ignored = 0
        self._settings = settings
        self._topic = settings.workflow_control_topic
        self._signatures = Signatures.of(settings)
        self._look_back = look_back
        self._on_cancel = on_cancel
        self._positions: dict[int, int] = {}
        self._placed = False

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Follow the topic while the block lasts; entered once what was there is read, or has had its time to be."""
        reading = asyncio.create_task(self.run())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CATCH_UP_PATIENCE):
                    await self.caught_up.wait()
            yield
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            if not reading.cancelled() and (error := reading.exception()) is not None:
                log.error("Cancels were no longer heard", exc_info=error)

    async def run(self) -> None:
        """Follow the topic for ever. No fault of the topic ends it, for a worker without cancels is better than none."""
        while True:
            retrying = AsyncRetrying(
                retry=retry_if_exception_type(WorkflowEventsError),
                wait=wait_random_exponential(multiplier=_FIRST_WINDOW, max=_LONGEST_WAIT),
                before_sleep=self._note_failure,
            )
            await retrying(self._session)

    async def _session(self) -> None:
        began = time.monotonic()
        try:
            await self._follow()
        except WorkflowEventsError as error:
            if time.monotonic() - began <= _HEALTHY_SECONDS:
                raise
            log.warning("Lost the control topic, reading on from where it was: %s", error)

    async def _follow(self) -> None:
        async with topic_log.open_log(self._settings, self._topic) as consumer:
            await self._assign(consumer)
            stop = await topic_log.end(consumer, self._topic, self._positions)
            turns = Turns()
            check = time.monotonic() + _CHECK_SECONDS
            while True:
                if not self.caught_up.is_set() and await self._has_read(consumer, stop):
                    self.caught_up.set()
                batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MAX_RECORDS)
                for partition, records in batches.items():
                    for record in records:
                        self._take(record)
                    advance(self._positions, partition.partition, records[-1].offset + 1)
                await turns.give()
                if time.monotonic() >= check:
                    check = time.monotonic() + _CHECK_SECONDS
                    await self._look_after(consumer)

    async def _assign(self, consumer: AIOKafkaConsumer) -> None:
        partitions = topic_log.partitions(consumer, self._topic)
        first = await topic_log.beginning(consumer, self._topic, partitions)
        last = await topic_log.end(consumer, self._topic, partitions)
        if not self._placed:
            since = round((time.time() - self._look_back) * 1000)
            found = await consumer.offsets_for_times({TopicPartition(self._topic, one): since for one in partitions})
            times = {tp.partition: at and (at.offset, at.timestamp) for tp, at in found.items()}
            self._positions = from_times(times, first, last)
            self._placed = True
        else:
            self._positions = clamp(self._positions, first, last).start
        topic_log.assign_at(consumer, self._topic, self._positions)

    async def _has_read(self, consumer: AIOKafkaConsumer, stop: dict[int, int]) -> bool:
        # The client's own positions also pass what is no record, such as a transaction's markers.
        at = {one: await consumer.position(TopicPartition(self._topic, one)) for one in stop}
        return reached(at, stop)

    async def _look_after(self, consumer: AIOKafkaConsumer) -> None:
        grown = len(topic_log.partitions(consumer, self._topic)) > len(self._positions)
        if grown or topic_log.ends_before(consumer, self._topic, self._positions):
            await self._assign(consumer)

    def _take(self, record: ConsumerRecord) -> None:
        if len(record.value or b"") > self._settings.max_read_bytes:
            self.ignored += 1
            return
        if self._signatures is not None and not self._signatures.admits(record, CONTROL_TYPES, topic=self._topic):
            self.ignored += 1
            return
        try:
            cancel = cancel_in(decode_event(record.value))
        except InvalidEventError as error:
            self.ignored += 1
            log.warning(
                "Ignored a control message, %s-%d at offset %d: %s", self._topic, record.partition, record.offset, error
            )
            return
        if cancel is not None and self._on_cancel(cancel):
            log.info("Request %s is cancelled: %s", cancel.correlation_id, cancel.reason or "no reason given")

    def _note_failure(self, state: RetryCallState) -> None:
        self.caught_up.set()
        seldom = state.attempt_number & (state.attempt_number - 1) == 0
        log.log(
            logging.WARNING if seldom else logging.DEBUG,
            "Cancels are not heard at the moment: %s",
            state.outcome.exception() if state.outcome else "",
        )

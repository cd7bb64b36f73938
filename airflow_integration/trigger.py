"""Waits in the triggerer for the result of a request, so that no worker slot is held meanwhile.

All triggers of a triggerer process that wait on one cluster and topic share one consumer: N waiting tasks cost N dictionary
entries. What the trigger is made of is plain JSON and holds the reply cursor, so any triggerer may take it up after
another's death and miss nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from airflow_integration.connection import DEFAULT_CONN_ID
from airflow_integration.handover import hand_over_error, hand_over_reply
from airflow_integration.narration import Narrator
from airflow_integration.options import DEFAULT_INLINE_RESULT_LIMIT
from airflow_integration.settled_trigger import LINGER_SECONDS, SettledTrigger, SettleOptions
from workflow_events.errors import WorkflowEventsError
from workflow_events.pending import PendingRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from airflow_integration.handover import Handover
    from workflow_events.replies.async_reader import ReplyReader

__all__ = ["SettleOptions", "WorkflowResultTrigger"]

_LAST_WORDS_SECONDS = 1.0


class WorkflowResultTrigger(SettledTrigger):
    """Fires once, when the result of a request is there, or at its deadline.

    Args:
        pending: the request, as :meth:`PendingRequest.to_json` gives it.
        workflow_events_conn_id: the Airflow connection.
        inline_result_limit: bytes up to which the result travels in the event.
        settle: the task that deferred; None: fire at once.
        cancel_on_kill: whether the run is stopped when the task is killed; not for one who only looks on.
        show_progress: whether the task's log tells of the run meanwhile.
    """

    def __init__(
        self,
        pending: dict[str, Any],
        workflow_events_conn_id: str = DEFAULT_CONN_ID,
        inline_result_limit: int = DEFAULT_INLINE_RESULT_LIMIT,
        settle: SettleOptions | None = None,
        *,
        cancel_on_kill: bool = True,
        show_progress: bool = True,
    ) -> None:
        super().__init__(workflow_events_conn_id, settle)
        self.pending = pending
        self.inline_result_limit = inline_result_limit
        self.cancel_on_kill = cancel_on_kill
        self.show_progress = show_progress

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path and the arguments to make this trigger again; nothing secret is among them."""
        return (
            "airflow_integration.trigger.WorkflowResultTrigger",
            {
                "pending": self.pending,
                "workflow_events_conn_id": self.workflow_events_conn_id,
                "inline_result_limit": self.inline_result_limit,
                "settle": self.settle,
                "cancel_on_kill": self.cancel_on_kill,
                "show_progress": self.show_progress,
            },
        )

    @contextlib.asynccontextmanager
    async def _telling(self, replies: ReplyReader, pending: PendingRequest) -> AsyncIterator[None]:
        """While the block lasts, the task's log tells of the run."""
        if not self.show_progress:
            yield
            return
        telling = asyncio.create_task(self._tell(replies, pending), name="telling")
        try:
            yield
            # What was said before the result may be a moment behind it.
            await asyncio.wait([telling], timeout=_LAST_WORDS_SECONDS)
        finally:
            telling.cancel()
            await asyncio.wait([telling])

    async def _tell(self, replies: ReplyReader, pending: PendingRequest) -> None:
        from workflow_events.progress.following import follow  # noqa: PLC0415 - brings in a Kafka client

        narrator = Narrator(lambda line: self.log.info("%s", line))
        try:
            async for event in follow(replies, pending):
                narrator.hear(event)
        except WorkflowEventsError as error:
            self.log.info("What the run is doing cannot be told: %s", error)

    def killed(self) -> Sequence[PendingRequest]:
        """The one request, unless somebody else made it."""
        return [PendingRequest.from_json(self.pending)] if self.cancel_on_kill else ()

    async def outcome(self) -> Handover:
        """The result, or why there is none."""
        pending = PendingRequest.from_json(self.pending)
        try:
            settings, reader = await self.prepared()
            async with (
                reader.lease(settings, pending.reply_topic, linger=LINGER_SECONDS) as replies,
                self._telling(replies, pending),
            ):
                reply = await replies.wait(pending)
        except WorkflowEventsError as error:
            self.log.warning("No result for request %s: %s", pending.correlation_id, error)
            return hand_over_error(pending, error)
        self.log.info(
            "Result of request %s: %s, %d bytes %s",
            pending.correlation_id,
            reply.event.status.value,
            reply.size,
            "from the result store" if reply.position is None else "at {}[{}]@{}".format(*reply.position),
        )
        return hand_over_reply(pending, reply, self.inline_result_limit)

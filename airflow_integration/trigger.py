"""Waits in the triggerer for the result of a request, so that no worker slot is held meanwhile.

All triggers of a triggerer process that wait on one cluster and topic share one consumer: N waiting tasks cost N dictionary
entries. What the trigger is made of is plain JSON and holds the reply cursor, so any triggerer may take it up after
another's death and miss nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_integration.connection import DEFAULT_CONN_ID
from airflow_integration.handover import hand_over_error, hand_over_reply
from airflow_integration.options import DEFAULT_INLINE_RESULT_LIMIT
from airflow_integration.settling import Settling, TaskProcess
from workflow_events.errors import WorkflowEventsError
from workflow_events.pending import PendingRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_integration.handover import Handover
    from workflow_events.replies.async_reader import ReplyReader
    from workflow_events.settings import KafkaSettings

__all__ = ["SettleOptions", "WorkflowResultTrigger"]

_LINGER_SECONDS = 30.0
"""How long the shared consumer stays after its last trigger; tasks of one run tend to defer one after the other."""
_LOOK_SECONDS = 0.25
"""How often a trigger looks whether its task's process is still there, for the first seconds of its life."""


class SettleOptions(TypedDict):
    """What the deferring task tells of itself; see :mod:`airflow_integration.settling`.

    Attributes:
        interval: seconds by which its supervisor may see its exit late.
        margin: seconds that the scheduler is given to go around its loop.
        process: the task's process, as :meth:`TaskProcess.to_json` gives it.
    """

    interval: float
    margin: float
    process: dict[str, Any]


class WorkflowResultTrigger(BaseTrigger):
    """Fires once, when the result of a request is there, or at its deadline.

    Args:
        pending: the request, as :meth:`PendingRequest.to_json` gives it.
        workflow_events_conn_id: the Airflow connection.
        inline_result_limit: bytes up to which the result travels in the event.
        settle: the task that deferred; None: fire at once.
    """

    def __init__(
        self,
        pending: dict[str, Any],
        workflow_events_conn_id: str = DEFAULT_CONN_ID,
        inline_result_limit: int = DEFAULT_INLINE_RESULT_LIMIT,
        settle: SettleOptions | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's triggers are untyped
        self.pending = pending
        self.workflow_events_conn_id = workflow_events_conn_id
        self.inline_result_limit = inline_result_limit
        self.settle = settle

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path and the arguments to make this trigger again; nothing secret is among them."""
        return (
            "airflow_integration.trigger.WorkflowResultTrigger",
            {
                "pending": self.pending,
                "workflow_events_conn_id": self.workflow_events_conn_id,
                "inline_result_limit": self.inline_result_limit,
                "settle": self.settle,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, a :class:`~airflow_integration.handover.Handover`."""
        pending = PendingRequest.from_json(self.pending)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._settled(), name=f"settling:{pending.correlation_id}")
            outcome = tasks.create_task(self._outcome(pending), name=f"waiting:{pending.correlation_id}")
            await outcome
            clock = asyncio.get_running_loop().time
            came = clock()
        if (kept := clock() - came) >= 1:
            self.log.info("Kept it for %.1f s, until Airflow had taken note that the task's process had ended.", kept)
        # Outside of every context manager: dag.test() takes the first event and leaves the generator there.
        yield TriggerEvent(outcome.result())  # type: ignore[no-untyped-call]  # so is their event

    async def _outcome(self, pending: PendingRequest) -> Handover:
        try:
            settings, reader = await sync_to_async(self._prepare, thread_sensitive=False)()
            async with reader.lease(settings, pending.reply_topic, linger=_LINGER_SECONDS) as replies:
                reply = await replies.wait(pending)
        except WorkflowEventsError as error:
            self.log.warning("No result for request %s: %s", pending.correlation_id, error)
            return hand_over_error(pending, error)
        self.log.info(
            "Result of request %s: %s, %d bytes at %s[%d]@%d",
            pending.correlation_id,
            reply.event.status.value,
            reply.size,
            reply.position.topic,
            reply.position.partition,
            reply.position.offset,
        )
        return hand_over_reply(pending, reply, self.inline_result_limit)

    def _prepare(self) -> tuple[KafkaSettings, type[ReplyReader]]:
        """The settings and the reader. In a thread: Airflow's connections are asked for, and a Kafka client is imported."""
        from airflow_integration.hook import WorkflowEventsHook  # noqa: PLC0415
        from workflow_events.replies.async_reader import ReplyReader  # noqa: PLC0415

        return WorkflowEventsHook(self.workflow_events_conn_id).settings, ReplyReader

    async def _settled(self) -> None:
        """Return when Airflow is ready to hear of the result."""
        if self.settle is None:
            return
        process = TaskProcess(**self.settle["process"])
        if process.is_this_one:
            return
        clock = asyncio.get_running_loop().time
        settling = Settling(
            started=clock(),
            interval=self.settle["interval"],
            margin=self.settle["margin"],
            visible=process.is_visible,
        )
        while (seconds := settling.wait(clock())) > 0:
            if settling.is_watching:
                settling.see(present=process.is_present(), now=clock())
                seconds = min(_LOOK_SECONDS, settling.wait(clock()))
            await asyncio.sleep(seconds)

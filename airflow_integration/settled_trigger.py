"""What the triggers share: the wait for an outcome, and that Airflow hears of it no sooner than it is ready to."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_integration import options
from airflow_integration.cancelling import cancel_from_loop
from airflow_integration.prompting import prompted
from airflow_integration.requesting import KILLED
from airflow_integration.settling import Settling, TaskProcess, crowding

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from workflow_events.pending import PendingRequest
    from workflow_events.replies.async_reader import ReplyReader
    from workflow_events.settings import KafkaSettings

__all__ = ["LINGER_SECONDS", "SettleOptions", "SettledTrigger"]

LINGER_SECONDS = 30.0
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


class SettledTrigger(BaseTrigger):
    """Fires once, with its outcome.

    Args:
        workflow_events_conn_id: the Airflow connection.
        settle: the task that deferred; None: fire at once.

    Attributes:
        cancel_on_kill: whether a kill stops runs.
    """

    cancel_on_kill = True

    def __init__(self, workflow_events_conn_id: str, settle: SettleOptions | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's triggers are untyped
        self.workflow_events_conn_id = workflow_events_conn_id
        self.settle = settle

    @abstractmethod
    async def outcome(self) -> Mapping[str, Any]:
        """Wait, and return the event's payload. Errors of ours are part of it."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event with the outcome."""
        async with prompted(self._prompting()), asyncio.TaskGroup() as tasks:
            tasks.create_task(self._settled(), name="settling")
            waiting = tasks.create_task(self.outcome(), name="waiting")
            # Not awaited itself: what it is interrupted in may raise a CancelledError of its own, without Airflow's word in it
            # that it was a user, and no on_kill() would be called.
            await asyncio.wait([waiting])
            clock = asyncio.get_running_loop().time
            came = clock()
        if (kept := clock() - came) >= 1:
            self.log.info("Kept it for %.1f s, until Airflow had taken note that the task's process had ended.", kept)
        # Outside of every context manager: dag.test() takes the first event and leaves the generator there.
        yield TriggerEvent(waiting.result())  # type: ignore[no-untyped-call]  # so is their event

    def killed(self) -> Sequence[PendingRequest]:
        """The requests whose runs are to stop where the task is killed."""
        return ()

    async def on_kill(self) -> None:
        """Stop the runs. Airflow, from 3.3 on, calls it when a user marks or clears the deferred task.

        It does not when the triggerer stops, for then another takes this trigger up.
        """
        requests = await sync_to_async(self.killed, thread_sensitive=False)()
        if requests:
            settings, _ = await self.prepared()
            await cancel_from_loop(settings, requests, KILLED)

    def _prompting(self) -> float:
        """Seconds between two words to the triggerer, so that it tells sooner of a kill; 0 where there is none to tell."""
        if not self.cancel_on_kill or self.settle is None or TaskProcess(**self.settle["process"]).is_this_one:
            return 0.0
        return options.kill_watch_interval() / 2

    async def prepared(self) -> tuple[KafkaSettings, type[ReplyReader]]:
        """The settings and the reader, had in a thread: Airflow's connections are asked for, and a Kafka client is imported.

        Raises:
            ConfigurationError: the connection is missing or does not hold together.
        """
        return await sync_to_async(self._prepare, thread_sensitive=False)()

    def _prepare(self) -> tuple[KafkaSettings, type[ReplyReader]]:
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
                settling.see(present=process.is_present(), now=clock(), crowding=crowding())
                seconds = min(_LOOK_SECONDS, settling.wait(clock()))
            await asyncio.sleep(seconds)

"""What the tasks that ask a workflow share: when to wait in the worker slot, and the cancel of what they no longer need."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from airflow_integration import options
from airflow_integration.cancelling import cancel
from airflow_integration.hook import WorkflowEventsHook
from airflow_integration.identity import identity_of
from airflow_integration.narration import Narrator
from airflow_integration.slot_watch import SlotWatch, own_state
from workflow_events.errors import NotAcceptedError, ResultTimeoutError, WorkerSilentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

    from airflow.sdk import Context

    from workflow_events.client import WorkflowClient
    from workflow_events.events import WorkflowEvent, WorkflowResultEvent
    from workflow_events.pending import PendingRequest

__all__ = ["KILLED", "RequestingTask", "due_in", "nobody_reported", "seconds_of"]

KILLED = "the Airflow task was killed"
"""The reason that a cancelled run's result gives."""
TIMED_OUT = "the Airflow task's deadline has passed"
_KILL_SECONDS = 5.0
"""What a supervisor may take, beyond its heartbeat's interval, to kill a task that is no longer to run."""
_LOOK_SECONDS = 0.1


class RequestingTask:
    """The part of an operator that has asked for something, and answers for it.

    Attributes:
        workflow_events_conn_id: the Airflow connection.
        deferrable: whether to free the worker slot while waiting.
        inline_wait: seconds to wait in the slot before deferring; the configured ones where None.
        accepted_timeout: seconds within which a worker must have taken a request; None: no such limit.
        heartbeat_timeout: seconds for which the worker may be silent; None: no such limit.
        cancel_on_timeout: whether a deadline that passes stops the run.
        show_progress: whether the task's log tells of the run while it is under way.
        run_link: where people look at the run.
    """

    workflow_events_conn_id: str
    deferrable: bool
    inline_wait: float | None
    accepted_timeout: float | None
    heartbeat_timeout: float | None
    cancel_on_timeout: bool
    show_progress: bool
    run_link: str
    log: Any
    _asked: Sequence[PendingRequest] = ()
    _killed: bool = False

    @cached_property
    def hook(self) -> WorkflowEventsHook:
        """The hook on ``workflow_events_conn_id``."""
        return WorkflowEventsHook(self.workflow_events_conn_id)

    def on_kill(self) -> None:
        """Stop the runs that this task waits for in its worker slot. Airflow calls it in a signal's handler."""
        self._killed = True
        self._stop_asked()

    def _stop_asked(self) -> None:
        asked, self._asked = self._asked, ()
        cancel(self.hook.settings, asked, KILLED)

    @contextmanager
    def _stopping_when_unwanted(self, context: Context) -> Iterator[None]:
        """While the block waits, the runs are stopped as soon as a user has marked or cleared the task.

        The end of the task is left to Airflow, which kills it with its supervisor's next heartbeat.
        """
        interval = options.kill_watch_interval()
        look = own_state(context) if interval else None
        if look is None:
            yield
            return
        watch = SlotWatch(look, self._stop_asked, interval)
        try:
            with watch:
                yield
        finally:
            if watch.unwanted:
                # No lock is waited for: the signal's handler runs in this very thread.
                patience = time.monotonic() + options.heartbeat_interval() + _KILL_SECONDS
                while not self._killed and time.monotonic() < patience:
                    time.sleep(_LOOK_SECONDS)

    def _timed_out(self, requests: Sequence[PendingRequest]) -> None:
        """Stop the runs of requests whose deadline has passed, if that is wanted."""
        if self.cancel_on_timeout:
            cancel(self.hook.settings, requests, TIMED_OUT)

    def _clocks(self) -> dict[str, Any]:
        """The limits on a worker's silence that are set, as a client takes them."""
        clocks = {"accepted_timeout": self.accepted_timeout, "heartbeat_timeout": self.heartbeat_timeout}
        return {name: seconds for name, seconds in clocks.items() if seconds is not None}

    def _wait_here(self, client: WorkflowClient, pending: PendingRequest) -> WorkflowResultEvent | None:
        """The result; None where the task should defer to have it.

        Raises:
            ResultTimeoutError: none in time, and the task does not defer.
        """
        seconds = self._seconds_here(pending)
        if seconds is not None and seconds <= 0:
            return None
        try:
            if seconds is None:
                return client.wait(pending, on_progress=self._narrator() if self.show_progress else None)
            return client.wait(due_in(pending, seconds))  # if it defers, the trigger tells of the run from its begin on
        except (NotAcceptedError, WorkerSilentError):
            self._timed_out([pending])
            raise
        except ResultTimeoutError:
            if seconds is None:
                self._timed_out([pending])
                raise
            self.log.info("No result within %g s; deferring.", seconds)
            return None

    def _narrator(self) -> Callable[[WorkflowEvent], None]:
        return Narrator(lambda line: self.log.info("%s", line)).hear

    def _log_asked(self, client: WorkflowClient, pending: PendingRequest, what: str) -> None:
        self.log.info(
            "Asked workflow %r for attempt %d of %s on topic %r; its result is expected on %r, after offsets %s "
            "(by partition), until %s.",
            pending.workflow_id,
            pending.attempt,
            what,
            client.settings.workflow_events_topic,
            pending.reply_topic,
            pending.reply_cursor,
            pending.deadline.isoformat(timespec="seconds"),
        )

    def _seconds_here(self, pending: PendingRequest) -> float | None:
        """How long to wait in the worker slot before deferring; None: to the end."""
        if not self.deferrable:
            return None
        seconds = options.inline_wait() if self.inline_wait is None else self.inline_wait
        if pending.remaining() <= seconds + options.heartbeat_interval() + options.settle_margin():
            return None  # a deferral could not end before the deadline
        return seconds


def due_in(pending: PendingRequest, seconds: float) -> PendingRequest:
    """The same request, to be waited for no longer than this."""
    return pending.model_copy(update={"deadline": datetime.now(tz=UTC) + timedelta(seconds=seconds)})


@overload
def seconds_of(time: float | timedelta) -> float: ...


@overload
def seconds_of(time: float | timedelta | None) -> float | None: ...


def seconds_of(time: float | timedelta | None) -> float | None:
    """A length of time in seconds."""
    return time.total_seconds() if isinstance(time, timedelta) else time


def nobody_reported(context: Any) -> str:
    """What to say where Airflow gave a deferral up."""
    identity = identity_of(context)
    first: UUID = identity.correlation_id_of(0)
    return (
        f"No triggerer has reported on request {identity.correlation_id} (where a list was asked: on {first} and those "
        "after it), though its deadline is long over. Check that a triggerer runs and that it can import airflow_integration."
    )

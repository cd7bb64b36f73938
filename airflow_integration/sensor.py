"""The sensor: waits for the result of a request that somebody else made."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSensorTimeout

from airflow_integration import options
from airflow_integration.connection import DEFAULT_CONN_ID
from airflow_integration.deferral import defer_until_result
from airflow_integration.failing import told_to_airflow
from airflow_integration.handover import pending_of, take_over
from airflow_integration.hook import WorkflowEventsHook
from airflow_integration.links import WorkflowRunLink
from airflow_integration.outcome import value_of
from airflow_integration.poller import WorkflowResultPoller
from airflow_integration.requesting import due_in, seconds_of
from airflow_integration.retries import looking_now
from workflow_events.errors import InvalidEventError, NotAcceptedError, ResultTimeoutError, WorkerSilentError
from workflow_events.pending import PendingRequest

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink, Context, XComArg

    from airflow_integration.handover import Handover
    from workflow_events.events import WorkflowEvent, WorkflowResultEvent

__all__ = ["WorkflowResultSensor"]

_LISTEN_SECONDS = 10.0
"""What a look in mode ``reschedule`` may take to read what was told of a run; it ends with the first word of a worker."""


class WorkflowResultSensor(BaseSensorOperator):
    """Waits for the result of a request that was published elsewhere, and returns it.

    Args:
        pending: the request, as :meth:`PendingRequest.to_json` gives it: a dict (say, an upstream task's output) or its
            JSON text. Templated.
        correlation_id: the request's id, where no pending request is at hand; the place to start reading is then worked
            out from it, as :class:`~airflow_integration.poller.WorkflowResultPoller` does. Templated.
        workflow_id: for error messages, beside ``correlation_id``. Templated.
        topic: the topic of the result, beside ``correlation_id``; the settings' where None.
        accepted_timeout: seconds from the sensor's start, or a timedelta, within which a worker must have taken the request;
            None: what the pending request says, if it says any. In mode ``reschedule`` it is noticed by the first look after it.
        heartbeat_timeout: seconds, or a timedelta, for which the worker that has taken it may be silent; None: what the pending
            request says, if it says any. Not in mode ``reschedule``: who looks now and then hears no silence in between.
        deferrable: whether to wait in the triggerer; ``[operators] default_deferrable`` where None. Otherwise ``mode``
            decides: ``poke`` waits in the worker slot, without sleeping between looks; ``reschedule`` looks every
            ``poke_interval`` seconds, or as often as Airflow can start a task anew (10 s by default).
        inline_result_limit: as :class:`~airflow_integration.operator.WorkflowOperator` has it.
        workflow_events_conn_id: the Airflow connection, of type ``workflow_events`` or ``kafka``.
        **kwargs: of Airflow's sensors. The wait ends at ``timeout`` or at the pending request's deadline, whichever is
            first.

    Raises:
        WorkflowTaskError, WorkflowTaskFailError: as :class:`~airflow_integration.operator.WorkflowOperator` does.
        AirflowSensorTimeout: no result in time; the message names id, topic and cursor.
        NotAcceptedError, WorkerSilentError, TransportError, WorkflowRequestFailError: as the operator does.
    """

    template_fields: Sequence[str] = ("pending", "correlation_id", "workflow_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"pending": "json"}
    operator_extra_links: Collection[BaseOperatorLink] = (WorkflowRunLink(),)
    ui_color = "#e8f0e0"

    def __init__(
        self,
        *,
        pending: Mapping[str, Any] | XComArg | str | None = None,
        correlation_id: str | XComArg | None = None,
        workflow_id: str | None = None,
        topic: str | None = None,
        accepted_timeout: float | timedelta | None = None,
        heartbeat_timeout: float | timedelta | None = None,
        deferrable: bool | None = None,
        inline_result_limit: int | None = None,
        workflow_events_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pending = pending
        self.correlation_id = correlation_id
        self.workflow_id = workflow_id
        self.topic = topic
        self.accepted_timeout = seconds_of(accepted_timeout)
        self.heartbeat_timeout = seconds_of(heartbeat_timeout)
        self.deferrable = options.default_deferrable() if deferrable is None else deferrable
        self.inline_result_limit = inline_result_limit
        self.workflow_events_conn_id = workflow_events_conn_id
        self.run_link = ""
        self._request: PendingRequest | None = None
        if (pending is None) == (correlation_id is None):
            raise ValueError("WorkflowResultSensor needs either pending or correlation_id")
        if self.heartbeat_timeout is not None and self.reschedule and not self.deferrable:
            raise ValueError(
                "heartbeat_timeout needs a sensor that listens all the time; mode='reschedule' looks now and then. "
                "Take deferrable=True, which holds no worker slot either, or mode='poke'."
            )

    @cached_property
    def hook(self) -> WorkflowEventsHook:
        """The hook on ``workflow_events_conn_id``."""
        return WorkflowEventsHook(self.workflow_events_conn_id)

    @told_to_airflow()
    def execute(self, context: Context) -> Any:
        """Wait here or in the triggerer."""
        if not self.deferrable:
            return self._execute_here(context)
        with self._poller() as poller:
            pending = self._pending(poller, context)
        return defer_until_result(
            self,
            pending,
            conn_id=self.workflow_events_conn_id,
            inline_result_limit=self.inline_result_limit,
            method_name="execute_complete",
            cancel_on_kill=False,  # somebody else's request
        )

    def _execute_here(self, context: Context) -> Any:
        try:
            return super().execute(context)
        except AirflowRescheduleException as again:
            # Airflow fails a task that it starts anew before it has noted the first process's exit, after a reschedule as
            # after a deferral; see airflow_integration.settling.
            settled = options.heartbeat_interval() + options.settle_margin()
            soonest = datetime.now(tz=UTC) + timedelta(seconds=settled)
            again.reschedule_date = max(again.reschedule_date, soonest)
            raise

    @told_to_airflow()
    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Wait for the result to the end (``poke``), or look whether it is there (``reschedule``)."""
        with self._poller() as poller:
            pending = self._pending(poller, context)
            try:
                result = self._look(poller, pending) if self.reschedule else poller.wait(pending)
            except (NotAcceptedError, WorkerSilentError):
                raise
            except ResultTimeoutError as error:
                if self.reschedule and pending.remaining() > 0:
                    return False
                raise _timed_out(pending, error) from error
        return PokeReturnValue(is_done=True, xcom_value=value_of(result))

    def _look(self, poller: WorkflowResultPoller, pending: PendingRequest) -> WorkflowResultEvent:
        """The result, if it is there.

        Raises:
            ResultTimeoutError: it is not.
            NotAcceptedError: nor has a worker taken the request, though it should have by now.
        """
        try:
            return poller.wait(looking_now(pending, pending.attempt))
        except ResultTimeoutError:
            accepted_in = pending.until_accepted_by()
            if accepted_in is None or accepted_in > 0:
                raise

        def taken(_: WorkflowEvent) -> None:
            raise _TakenError

        listened = due_in(pending, _LISTEN_SECONDS).model_copy(update={"heartbeat_timeout": None})
        try:
            with self.hook.client() as client:
                return client.wait(listened, on_progress=taken)
        except _TakenError:
            raise ResultTimeoutError(pending) from None
        except NotAcceptedError as error:
            raise NotAcceptedError(pending, group=error.group, unheard=error.unheard) from error

    @told_to_airflow()
    def execute_complete(self, context: Context, event: Handover) -> dict[str, Any]:  # noqa: ARG002
        """Go on with what the trigger hands over."""
        self.run_link = self.hook.run_url(pending_of(event))
        try:
            result = take_over(event, self.hook.read_result, self.hook.read_stored)
        except (NotAcceptedError, WorkerSilentError):
            raise
        except ResultTimeoutError as error:
            raise _timed_out(error.pending, error) from error
        return value_of(self.hook.with_payload(result))

    def _poller(self) -> WorkflowResultPoller:
        return WorkflowResultPoller(topic=self.topic, timeout=self.timeout, settings=self.hook.settings)

    def _pending(self, poller: WorkflowResultPoller, context: Context) -> PendingRequest:
        """The request, with the deadline that holds for this sensor."""
        if self._request is None:
            started = self._started(context)
            until = started + timedelta(seconds=self.timeout)
            if self.correlation_id is not None:
                found = poller.pending_for(str(self.correlation_id), self.workflow_id)
                self._request = found.model_copy(update={"deadline": until})
            else:
                found = PendingRequest.from_json(_json(self.pending))
                self._request = found.model_copy(update={"deadline": min(until, found.deadline)})
            self._request = self._request.with_clocks(
                accepted_timeout=self.accepted_timeout, heartbeat_timeout=self.heartbeat_timeout, now=started
            )
            self.run_link = self.hook.run_url(self._request)
            self.log.info(
                "Waiting for the result of request %s on %r, after offsets %s (by partition), until %s.",
                self._request.correlation_id,
                self._request.reply_topic,
                self._request.reply_cursor,
                self._request.deadline.isoformat(timespec="seconds"),
            )
        return self._request

    def _started(self, context: Context) -> datetime:
        first: datetime | None = context["ti"].get_first_reschedule_date(context) if self.reschedule else None
        return first or datetime.now(tz=UTC)


class _TakenError(Exception):
    """A worker has let itself be heard, and so has taken the request."""


def _timed_out(pending: PendingRequest, error: ResultTimeoutError) -> AirflowSensorTimeout:
    return AirflowSensorTimeout(
        str(ResultTimeoutError(pending, read_to=error.read_to, cause=error.cause, store=error.store))
    )


def _json(pending: object) -> dict[str, Any] | str:
    if isinstance(pending, str):
        return pending
    if isinstance(pending, Mapping):
        return dict(pending)
    raise InvalidEventError(
        f"pending must be what PendingRequest.to_json() gave, or its JSON text, not {type(pending).__name__}."
    )

"""The operator: asks a workflow to run and takes its result for its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferralTimeout

from airflow_integration import options
from airflow_integration.connection import DEFAULT_CONN_ID
from airflow_integration.deferral import defer_until_result
from airflow_integration.handover import pending_of, take_over
from airflow_integration.hook import WorkflowEventsHook
from airflow_integration.identity import identity_of
from airflow_integration.links import WorkflowRunLink
from airflow_integration.outcome import value_of
from workflow_events.errors import ResultTimeoutError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink, Context, XComArg

    from airflow_integration.handover import Handover
    from workflow_events.client import WorkflowClient
    from workflow_events.events import WorkflowResultEvent
    from workflow_events.pending import PendingRequest

__all__ = ["WorkflowOperator"]


class WorkflowOperator(BaseOperator):
    """Asks a workflow to run and returns its result.

    The request's id is derived from the task instance: an automatic retry asks for the same work, a clear for new work.
    Deferred or not, the task ends with the same value or the same error.

    Args:
        workflow_id: names the graph, where ``graph`` does not. Templated.
        data: the graph's input, JSON values only. Templated, within its values too.
        timeout: from the request to its deadline, in seconds or as a timedelta.
        graph: the graph's name, where ``workflow_id`` is not it. Templated.
        thread_id: the LangGraph thread to run on; one of its own where None. Templated.
        metadata: further fields of the event's metadata, such as ``{"environment": "prod"}``. Templated.
        deferrable: whether to free the worker slot while waiting; ``[operators] default_deferrable`` where None.
        inline_wait: seconds to wait in the slot before deferring; ``[workflow_events] inline_wait`` where None.
        inline_result_limit: bytes up to which a deferred task's result travels through Airflow's database and log, a
            larger one being read from Kafka by the worker; ``[workflow_events] inline_result_limit`` where None.
        workflow_events_conn_id: the Airflow connection, of type ``workflow_events`` or ``kafka``.

    Raises:
        WorkflowTaskError: the result is a failure, an error or a cancellation, and a retry may help.
        WorkflowTaskFailError: the same, and it would not (an ``AirflowFailException``).
        ResultTimeoutError: no result by the deadline; the message names id, topic and cursor.
    """

    template_fields: Sequence[str] = ("workflow_id", "data", "graph", "thread_id", "metadata")
    template_fields_renderers: ClassVar[dict[str, str]] = {"data": "json", "metadata": "json"}
    operator_extra_links: Collection[BaseOperatorLink] = (WorkflowRunLink(),)
    ui_color = "#d9e8f5"

    def __init__(
        self,
        *,
        workflow_id: str,
        data: Mapping[str, Any] | XComArg | None = None,
        timeout: float | timedelta = 300.0,
        graph: str | None = None,
        thread_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        deferrable: bool | None = None,
        inline_wait: float | None = None,
        inline_result_limit: int | None = None,
        workflow_events_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.workflow_id = workflow_id
        self.data: Mapping[str, Any] | XComArg = {} if data is None else data
        self.timeout = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        self.graph = graph
        self.thread_id = thread_id
        self.metadata = metadata
        self.deferrable = options.default_deferrable() if deferrable is None else deferrable
        self.inline_wait = inline_wait
        self.inline_result_limit = inline_result_limit
        self.workflow_events_conn_id = workflow_events_conn_id
        self.run_link = ""
        if self.timeout <= 0:
            raise ValueError(f"timeout must be above 0 seconds, not {self.timeout:g}")

    @cached_property
    def hook(self) -> WorkflowEventsHook:
        """The hook on ``workflow_events_conn_id``."""
        return WorkflowEventsHook(self.workflow_events_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask, and wait here or in the triggerer."""
        with self.hook.client() as client:
            pending = self._submit(client, context)
            result = self._wait_here(client, pending)
        if result is None:
            self._defer(pending)
        return value_of(result)

    def execute_complete(self, context: Context, event: Handover) -> dict[str, Any]:  # noqa: ARG002
        """Go on with what the trigger hands over."""
        self.run_link = self.hook.run_url(pending_of(event))
        result = take_over(event, self.hook.read_result)
        self.log.info("The result of request %s is %s.", result.correlation_id, result.status.value)
        return value_of(result)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the deferral; where Airflow gave it up, say for which request."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout as error:
            request = identity_of(context).correlation_id
            raise TaskDeferralTimeout(
                f"No triggerer has reported on request {request}, though its deadline is long over. Check that a triggerer "
                "runs and that it can import airflow_integration."
            ) from error

    def _submit(self, client: WorkflowClient, context: Context) -> PendingRequest:
        if not isinstance(self.data, Mapping):
            raise TypeError(
                f"The data for workflow {self.workflow_id!r} must be a dict with JSON values, not "
                f"{type(self.data).__name__}. A whole template renders to text; pass the upstream task's output itself "
                "(data=upstream.output), or put templates in the dict's values."
            )
        identity = identity_of(context)
        pending = client.submit(
            self.workflow_id,
            self.data,
            timeout=self.timeout,
            workflow_run_id=identity.workflow_run_id,
            correlation_id=identity.correlation_id,
            attempt=identity.attempt,
            thread_id=self.thread_id,
            graph=self.graph,
            metadata=self.metadata,
        )
        self.run_link = self.hook.run_url(pending)
        self.log.info(
            "Asked workflow %r for attempt %d of request %s on topic %r; its result is expected on %r, after offsets %s "
            "(by partition), until %s.",
            pending.workflow_id,
            pending.attempt,
            pending.correlation_id,
            client.settings.workflow_events_topic,
            pending.reply_topic,
            pending.reply_cursor,
            pending.deadline.isoformat(timespec="seconds"),
        )
        return pending

    def _wait_here(self, client: WorkflowClient, pending: PendingRequest) -> WorkflowResultEvent | None:
        """The result; None where the task should defer to have it."""
        if not self.deferrable:
            return client.wait(pending)
        seconds = options.inline_wait() if self.inline_wait is None else self.inline_wait
        remaining = pending.remaining()
        if remaining <= seconds + options.heartbeat_interval() + options.settle_margin():
            # A deferral could not end before the deadline.
            return client.wait(pending)
        if seconds <= 0:
            return None
        soon = datetime.now(tz=UTC) + timedelta(seconds=seconds)
        try:
            return client.wait(pending.model_copy(update={"deadline": soon}))
        except ResultTimeoutError:
            self.log.info("No result within %g s; deferring.", seconds)
            return None

    def _defer(self, pending: PendingRequest) -> NoReturn:
        defer_until_result(
            self,
            pending,
            conn_id=self.workflow_events_conn_id,
            inline_result_limit=self.inline_result_limit,
            method_name="execute_complete",
        )

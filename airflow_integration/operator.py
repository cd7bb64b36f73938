"""The operator: asks a workflow to run and takes its result for its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferralTimeout

from airflow_integration import options
from airflow_integration.connection import DEFAULT_CONN_ID
from airflow_integration.deferral import defer_until_result
from airflow_integration.failing import told_to_airflow
from airflow_integration.gather_asking import GatheringTask, each_of
from airflow_integration.gather_handover import take_over_gathered
from airflow_integration.handover import pending_of, take_over
from airflow_integration.identity import identity_of
from airflow_integration.links import WorkflowRunLink
from airflow_integration.outcome import value_of
from airflow_integration.questions import interruption_of
from airflow_integration.requesting import nobody_reported, seconds_of
from airflow_integration.retries import finished_since, going_on_from, recall, remember
from workflow_events.errors import ResultTimeoutError
from workflow_events.events import ResultStatus
from workflow_events.replies.gathering import WaitFor, check_wait_for

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.sdk import BaseOperatorLink, Context, XComArg

    from airflow_integration.gather_handover import GatherHandover
    from airflow_integration.handover import Handover
    from airflow_integration.identity import RequestIdentity
    from workflow_events.client import WorkflowClient
    from workflow_events.events import WorkflowResultEvent
    from workflow_events.pending import PendingRequest

__all__ = ["OnInterrupt", "WorkflowOperator"]

OnInterrupt = Literal["fail", "return"]
"""What becomes of a task whose run stops at a question to a human."""


class WorkflowOperator(GatheringTask, BaseOperator):
    """Asks a workflow to run and returns its result; or asks many times at once and returns the list of results.

    A request's id is derived from the task instance, and for a list from the place in it too: an automatic retry asks for
    the same work, a clear for new work. A retry takes a success that has come since, and has a run that is still going on, or
    has stopped at its last checkpoint, finish (:mod:`airflow_integration.retries`). Deferred or not, the task ends with the same
    value or the same error.

    A task that is killed, marked or cleared while it waits stops the run that it has asked for; while it is deferred, that
    takes Airflow 3.3 or later.

    For a list (pattern: Scatter-Gather, Enterprise Integration Patterns) there are as many requests, one deferral and one
    trigger. The value is the list of results in the order of the data, with None for those that were not waited for and,
    where not all had to succeed, for those that failed. An empty list is answered with an empty list, whatever
    ``wait_for`` says, and nothing is asked.

    Args:
        workflow_id: names the graph, where ``graph`` does not. Templated.
        data: the graph's input, JSON values only, or a list of such inputs. Templated, within its values too.
        wait_for: for a list: ``"all"`` results, the ``"first"`` success, or a number of successes. It ends sooner when so many
            have failed that the number cannot be reached; with ``"all"`` every request is waited for.
        return_partial_on_timeout: for a list: what has succeeded by the deadline is returned instead of an error. A failure
            with ``"all"`` is an error nevertheless.
        cancel_rest: for a list of which the ``"first"`` or a number is waited for: whether the runs that are no longer needed
            are stopped.
        timeout: from the request to its deadline, in seconds or as a timedelta; for a list, of all.
        accepted_timeout: seconds, or a timedelta, within which a worker must have taken the request; None: no such limit.
        heartbeat_timeout: seconds, or a timedelta, for which the worker that has taken it may be silent; None: no such limit.
        cancel_on_timeout: whether the run is stopped when its deadline, or one of these two limits, has passed.
        show_progress: whether the task's log tells what the run is doing: the nodes that start and finish, and what the graph
            itself says. Not for a list.
        on_interrupt: what a run does that stops at a question to a human: ``"fail"`` the task, or ``"return"`` the question
            as the task's value, for a :class:`~airflow_integration.human_operator.WorkflowHumanOperator`.
        graph: the graph's name, where ``workflow_id`` is not it. Templated.
        thread_id: the LangGraph thread to run on; one of its own where None. The requests of a list then run on this one, one
            after the other. Templated.
        metadata: further fields of the event's metadata, such as ``{"environment": "prod"}``. Templated.
        deferrable: whether to free the worker slot while waiting; ``[operators] default_deferrable`` where None.
        inline_wait: seconds to wait in the slot before deferring; ``[workflow_events] inline_wait`` where None.
        inline_result_limit: bytes up to which a deferred task's results, added up, travel through Airflow's database and
            log, the others being read from Kafka by the worker; ``[workflow_events] inline_result_limit`` where None.
        workflow_events_conn_id: the Airflow connection, of type ``workflow_events`` or ``kafka``.

    Raises:
        WorkflowTaskError: the result is a failure, an error or a cancellation, and a retry may help. For a list: too many
            results are; the message names which, and the error has all results.
        WorkflowTaskFailError: the same, and it would not (an ``AirflowFailException``).
        ResultTimeoutError: no result by the deadline; the message names id, topic and cursor. For a list it is a
            ``GatherTimeoutError``, which also names the missing and has the results that came.
        NotAcceptedError: no worker took the request within ``accepted_timeout``.
        WorkerSilentError: the worker that took it has been silent for ``heartbeat_timeout``.
        TransportError: the broker cannot be reached, or does not confirm, and a retry may help.
        WorkflowRequestFailError: it refuses, or the topic is missing, or the data too large: a retry would not help (an
            ``AirflowFailException``).
    """

    template_fields: Sequence[str] = ("workflow_id", "data", "graph", "thread_id", "metadata")
    template_fields_renderers: ClassVar[dict[str, str]] = {"data": "json", "metadata": "json"}
    operator_extra_links: Collection[BaseOperatorLink] = (WorkflowRunLink(),)
    ui_color = "#d9e8f5"

    def __init__(
        self,
        *,
        workflow_id: str,
        data: Mapping[str, Any] | Sequence[Mapping[str, Any] | XComArg] | XComArg | None = None,
        wait_for: WaitFor = "all",
        return_partial_on_timeout: bool = False,
        cancel_rest: bool = True,
        timeout: float | timedelta = 300.0,
        accepted_timeout: float | timedelta | None = None,
        heartbeat_timeout: float | timedelta | None = None,
        cancel_on_timeout: bool = False,
        show_progress: bool = True,
        on_interrupt: OnInterrupt = "fail",
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
        self.data: Mapping[str, Any] | Sequence[Mapping[str, Any] | XComArg] | XComArg = {} if data is None else data
        self.wait_for = wait_for
        self.return_partial_on_timeout = return_partial_on_timeout
        self.cancel_rest = cancel_rest
        self.timeout: float = seconds_of(timeout)
        self.accepted_timeout = seconds_of(accepted_timeout)
        self.heartbeat_timeout = seconds_of(heartbeat_timeout)
        self.cancel_on_timeout = cancel_on_timeout
        self.show_progress = show_progress
        self.on_interrupt = on_interrupt
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
        check_wait_for(wait_for)
        if on_interrupt not in ("fail", "return"):
            raise ValueError(f"on_interrupt is 'fail' or 'return', not {on_interrupt!r}")

    @told_to_airflow()
    def execute(self, context: Context) -> Any:
        """Ask, and wait here or in the triggerer."""
        if not isinstance(self.data, Mapping):
            return self._gather(each_of(self.data, self.workflow_id), context)
        with self.hook.client() as client:
            identity = identity_of(context)
            earlier = recall(context, identity.correlation_id) if identity.attempt > 1 else None
            if earlier is not None and (there := finished_since(client, earlier, identity.attempt)) is not None:
                self.run_link = self.hook.run_url(earlier)
                self.log.info("Request %s has succeeded since an earlier try asked.", earlier.correlation_id)
                return self._value_of(there)
            pending = going_on_from(earlier, self._ask(client, self.data, identity))
            self._asked = [pending]
            remember(context, pending)
            with self._stopping_when_unwanted(context):
                result = self._wait_here(client, pending)
        if result is None:
            self._asked = ()  # from here on it is the trigger that is told of a kill
            defer_until_result(
                self,
                pending,
                conn_id=self.workflow_events_conn_id,
                inline_result_limit=self.inline_result_limit,
                method_name="execute_complete",
                show_progress=self.show_progress,
            )
        return self._value_of(result)

    @told_to_airflow()
    def execute_complete(self, context: Context, event: Handover) -> dict[str, Any]:  # noqa: ARG002
        """Go on with what the trigger of one request hands over."""
        self.run_link = self.hook.run_url(pending_of(event))
        try:
            result = take_over(event, self.hook.read_result, self.hook.read_stored)
        except ResultTimeoutError as error:
            self._timed_out([error.pending])
            raise
        self.log.info("The result of request %s is %s.", result.correlation_id, result.status.value)
        return self._value_of(result)

    @told_to_airflow()
    def execute_gathered(self, context: Context, event: GatherHandover) -> list[dict[str, Any] | None]:  # noqa: ARG002
        """Go on with what the trigger of many requests hands over."""
        gathered = take_over_gathered(event, self.hook.read_results, self.hook.read_stored)
        self.run_link = self.hook.run_url(gathered.requests[0])
        return self._values_of(gathered)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the deferral; where Airflow gave it up, say for which request."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout as error:
            raise TaskDeferralTimeout(nobody_reported(context)) from error

    def _value_of(self, result: WorkflowResultEvent) -> dict[str, Any]:
        if self.on_interrupt == "return" and result.status is ResultStatus.INTERRUPTED:
            return interruption_of(result, self.graph)
        return value_of(self.hook.with_payload(result))

    def _request_options(self, identity: RequestIdentity) -> dict[str, Any]:
        return {
            "timeout": self.timeout,
            "workflow_run_id": identity.workflow_run_id,
            "attempt": identity.attempt,
            "thread_id": self.thread_id,
            "graph": self.graph,
            "metadata": self.metadata,
            **self._clocks(),
        }

    def _ask(self, client: WorkflowClient, data: Mapping[str, Any], identity: RequestIdentity) -> PendingRequest:
        pending = client.submit(
            self.workflow_id, data, correlation_id=identity.correlation_id, **self._request_options(identity)
        )
        self.run_link = self.hook.run_url(pending)
        self._log_asked(client, pending, f"request {pending.correlation_id}")
        return pending

"""The operator: asks a workflow to run and takes its result for its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferralTimeout

from airflow_integration import options
from airflow_integration.connection import DEFAULT_CONN_ID
from airflow_integration.deferral import defer_until_gathered, defer_until_result
from airflow_integration.gather_handover import Gathered, take_over_gathered
from airflow_integration.gather_outcome import summary_of, values_of
from airflow_integration.handover import pending_of, take_over
from airflow_integration.hook import WorkflowEventsHook
from airflow_integration.identity import identity_of
from airflow_integration.links import WorkflowRunLink
from airflow_integration.milestones import Milestones
from airflow_integration.outcome import value_of
from workflow_events.errors import GatherTimeoutError, ResultTimeoutError
from workflow_events.replies.gathering import Gathering, WaitFor, check_wait_for

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink, Context, XComArg

    from airflow_integration.gather_handover import GatherHandover
    from airflow_integration.handover import Handover
    from workflow_events.client import WorkflowClient
    from workflow_events.events import WorkflowResultEvent
    from workflow_events.pending import PendingRequest

__all__ = ["WorkflowOperator"]


class WorkflowOperator(BaseOperator):
    """Asks a workflow to run and returns its result; or asks many times at once and returns the list of results.

    A request's id is derived from the task instance, and for a list from the place in it too: an automatic retry asks for
    the same work, a clear for new work. Deferred or not, the task ends with the same value or the same error.

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
        timeout: from the request to its deadline, in seconds or as a timedelta; for a list, of all.
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
        self.data: Mapping[str, Any] | Sequence[Mapping[str, Any] | XComArg] | XComArg = {} if data is None else data
        self.wait_for = wait_for
        self.return_partial_on_timeout = return_partial_on_timeout
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
        check_wait_for(wait_for)

    @cached_property
    def hook(self) -> WorkflowEventsHook:
        """The hook on ``workflow_events_conn_id``."""
        return WorkflowEventsHook(self.workflow_events_conn_id)

    def execute(self, context: Context) -> Any:
        """Ask, and wait here or in the triggerer."""
        if not isinstance(self.data, Mapping):
            return self._gather(_each(self.data, self.workflow_id), context)
        with self.hook.client() as client:
            pending = self._submit(client, self.data, context)
            result = self._wait_here(client, pending)
        if result is None:
            defer_until_result(
                self,
                pending,
                conn_id=self.workflow_events_conn_id,
                inline_result_limit=self.inline_result_limit,
                method_name="execute_complete",
            )
        return value_of(result)

    def execute_complete(self, context: Context, event: Handover) -> dict[str, Any]:  # noqa: ARG002
        """Go on with what the trigger of one request hands over."""
        self.run_link = self.hook.run_url(pending_of(event))
        result = take_over(event, self.hook.read_result)
        self.log.info("The result of request %s is %s.", result.correlation_id, result.status.value)
        return value_of(self.hook.with_payload(result))

    def execute_gathered(self, context: Context, event: GatherHandover) -> list[dict[str, Any] | None]:  # noqa: ARG002
        """Go on with what the trigger of many requests hands over."""
        gathered = take_over_gathered(event, self.hook.read_results)
        self.run_link = self.hook.run_url(gathered.requests[0])
        return self._values_of(gathered)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the deferral; where Airflow gave it up, say for which request."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout as error:
            identity = identity_of(context)
            raise TaskDeferralTimeout(
                f"No triggerer has reported on request {identity.correlation_id} (where a list was asked: on "
                f"{identity.correlation_id_of(0)} and those after it), though its deadline is long over. Check that a "
                "triggerer runs and that it can import airflow_integration."
            ) from error

    def _submit(self, client: WorkflowClient, data: Mapping[str, Any], context: Context) -> PendingRequest:
        identity = identity_of(context)
        pending = client.submit(
            self.workflow_id,
            data,
            timeout=self.timeout,
            workflow_run_id=identity.workflow_run_id,
            correlation_id=identity.correlation_id,
            attempt=identity.attempt,
            thread_id=self.thread_id,
            graph=self.graph,
            metadata=self.metadata,
        )
        self.run_link = self.hook.run_url(pending)
        self._log_asked(client, pending, f"request {pending.correlation_id}")
        return pending

    def _submit_many(
        self, client: WorkflowClient, data: Sequence[Mapping[str, Any]], context: Context
    ) -> list[PendingRequest]:
        identity = identity_of(context)
        requests = client.submit_many(
            self.workflow_id,
            data,
            correlation_ids=[identity.correlation_id_of(index) for index in range(len(data))],
            timeout=self.timeout,
            workflow_run_id=identity.workflow_run_id,
            attempt=identity.attempt,
            thread_id=self.thread_id,
            graph=self.graph,
            metadata=self.metadata,
        )
        self.run_link = self.hook.run_url(requests[0])
        first, last = requests[0].correlation_id, requests[-1].correlation_id
        self._log_asked(client, requests[0], f"each of {len(requests)} requests ({first} to {last})")
        return requests

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

    def _wait_here(self, client: WorkflowClient, pending: PendingRequest) -> WorkflowResultEvent | None:
        """The result; None where the task should defer to have it."""
        seconds = self._seconds_here(pending)
        if seconds is None:
            return client.wait(pending)
        if seconds <= 0:
            return None
        try:
            return client.wait(_due_in(pending, seconds))
        except ResultTimeoutError:
            self.log.info("No result within %g s; deferring.", seconds)
            return None

    def _gather(self, data: Sequence[Mapping[str, Any]], context: Context) -> list[dict[str, Any] | None]:
        if not data:
            self.log.info("There is nothing to ask workflow %r: the list is empty.", self.workflow_id)
            return []
        Gathering(len(data), self.wait_for)  # raises before anything is asked
        with self.hook.client() as client:
            requests = self._submit_many(client, data, context)
            gathered = self._gather_here(client, requests)
        if gathered is None:
            defer_until_gathered(
                self,
                requests,
                self.wait_for,
                conn_id=self.workflow_events_conn_id,
                inline_result_limit=self.inline_result_limit,
                method_name="execute_gathered",
            )
        return self._values_of(gathered)

    def _gather_here(self, client: WorkflowClient, requests: Sequence[PendingRequest]) -> Gathered | None:
        """What has come of them; None where the task should defer to have it."""
        seconds = self._seconds_here(requests[0])
        if seconds is not None and seconds <= 0:
            return None
        milestones = Milestones(len(requests))

        def tell(answered: int, count: int) -> None:
            if milestones.is_one(answered):
                self.log.info("%d of %d requests are answered so far.", answered, count)

        waited_for = requests if seconds is None else [_due_in(request, seconds) for request in requests]
        try:
            results = client.wait_many(waited_for, wait_for=self.wait_for, on_progress=tell)
        except GatherTimeoutError as error:
            if seconds is None:
                return Gathered(requests, error.results, error)
            answered = len(requests) - len(error.missing)
            self.log.info("%d of %d requests are answered within %g s; deferring.", answered, len(requests), seconds)
            return None
        return Gathered(requests, results)

    def _values_of(self, gathered: Gathered) -> list[dict[str, Any] | None]:
        if any(result is not None and result.claim_check is not None for result in gathered.results):
            gathered = replace(gathered, results=self.hook.with_payloads(gathered.results))
        self.log.info("%s", summary_of(gathered))
        return values_of(gathered, self.wait_for, return_partial_on_timeout=self.return_partial_on_timeout)

    def _seconds_here(self, pending: PendingRequest) -> float | None:
        """How long to wait in the worker slot before deferring; None: to the end."""
        if not self.deferrable:
            return None
        seconds = options.inline_wait() if self.inline_wait is None else self.inline_wait
        if pending.remaining() <= seconds + options.heartbeat_interval() + options.settle_margin():
            return None  # a deferral could not end before the deadline
        return seconds


def _due_in(pending: PendingRequest, seconds: float) -> PendingRequest:
    """The same request, to be waited for no longer than this."""
    return pending.model_copy(update={"deadline": datetime.now(tz=UTC) + timedelta(seconds=seconds)})


def _each(data: object, workflow_id: str) -> list[Mapping[str, Any]]:
    """The inputs in a list; Airflow's own sequences, such as a mapped task's output, are read once.

    Raises:
        TypeError: it is no list of dicts.
    """
    what = f"The data for workflow {workflow_id!r} must be a dict with JSON values, or a list of such dicts"
    if not isinstance(data, Sequence) or isinstance(data, str | bytes):
        raise TypeError(
            f"{what}, not {type(data).__name__}. A whole template renders to text; pass the upstream task's output itself "
            "(data=upstream.output), or put templates in the dict's values."
        )
    each = list(data)
    for index, one in enumerate(each):
        if not isinstance(one, Mapping):
            raise TypeError(f"{what}; element {index} of {len(each)}, counted from 0, is of type {type(one).__name__}.")
    return each

"""The operator that lets a human answer the questions at which a run has stopped."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.providers.standard.exceptions import HITLTimeoutError
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk import exceptions as airflow_exceptions
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from airflow_integration import options
from airflow_integration.connection import DEFAULT_CONN_ID
from airflow_integration.deferral import defer_until_result
from airflow_integration.failing import told_to_airflow
from airflow_integration.handover import pending_of, take_over
from airflow_integration.identity import identity_of
from airflow_integration.links import WorkflowRunLink
from airflow_integration.outcome import value_of
from airflow_integration.questions import Form, Interruption, Question, answers_in, interruption_of
from airflow_integration.requesting import RequestingTask, seconds_of
from workflow_events.errors import ResultTimeoutError
from workflow_events.events import EventType, ResultStatus

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink, Context, XComArg

    from airflow_integration.handover import Handover
    from airflow_integration.operator import OnInterrupt
    from workflow_events.client import WorkflowClient
    from workflow_events.events import WorkflowResultEvent
    from workflow_events.pending import PendingRequest

__all__ = ["WorkflowHumanOperator"]

# From 3.3 on Airflow parks a task that waits for a human; before, it is deferred to a trigger that polls.
_PARKED: tuple[type[BaseException], ...] = (
    TaskDeferred,
    getattr(airflow_exceptions, "TaskAwaitingInput", TaskDeferred),
)


class WorkflowHumanOperator(RequestingTask, HITLOperator):
    """Shows a human the questions at which a workflow's run has stopped, and goes on with the answers.

    The question appears on Airflow's page of required actions, by Airflow's own human-in-the-loop operator.

    ::

        review = WorkflowOperator(task_id="review", workflow_id="expenses", data=..., on_interrupt="return")
        decide = WorkflowHumanOperator(task_id="decide", interrupted=review.output)

    Its value is the run's result; where the run did not stop, that is what it was given. The answer goes to the same LangGraph
    thread as a request of its own, by the question's id, so one that comes twice changes nothing. One that does not fit the
    question's options or schema is refused, and the task waits on; so it does where the *workflow* asks the same again.

    A run may stop at several questions at once, in branches that run side by side. They are asked in one form and answered
    together, each by its own id.

    Airflow keeps one text for each task instance, through its retries. So another question takes another task: with
    ``on_interrupt="return"`` it is this one's value, for the next ``WorkflowHumanOperator``.

    On a retry, and after a clear, the worker is asked where the run stands.

    Args:
        interrupted: the value of a task with ``on_interrupt="return"``. Templated.
        timeout: from the answer to the deadline of the run that goes on with it, in seconds or as a timedelta.
        accepted_timeout, heartbeat_timeout, cancel_on_timeout, show_progress, deferrable, inline_wait, inline_result_limit: as
            :class:`~airflow_integration.operator.WorkflowOperator` has them, for that run.
        workflow_events_conn_id: the Airflow connection, of type ``workflow_events`` or ``kafka``.
        on_interrupt: what a run does that stops at another question: ``"fail"`` the task, or ``"return"`` the question.
        **kwargs: of Airflow's ``HITLOperator``, such as ``assigned_users``, ``notifiers`` and ``response_timeout``; not
            ``subject``, ``body``, ``options`` and ``params``, which the question says.

    Raises:
        WorkflowTaskError, WorkflowTaskFailError, WorkflowRequestFailError, ResultTimeoutError: as the operator does.
        AirflowFailException: nobody has answered within ``response_timeout``; or the run stands at a breakpoint, which asks
            nothing.
    """

    template_fields: Collection[str] = ("interrupted",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"interrupted": "json"}
    operator_extra_links: Collection[BaseOperatorLink] = (WorkflowRunLink(),)
    ui_color = "#f5e8d9"

    def __init__(
        self,
        *,
        interrupted: Mapping[str, Any] | XComArg,
        timeout: float | timedelta = 300.0,
        accepted_timeout: float | timedelta | None = None,
        heartbeat_timeout: float | timedelta | None = None,
        cancel_on_timeout: bool = False,
        show_progress: bool = True,
        deferrable: bool | None = None,
        inline_wait: float | None = None,
        inline_result_limit: int | None = None,
        workflow_events_conn_id: str = DEFAULT_CONN_ID,
        on_interrupt: OnInterrupt = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(subject="The workflow's question", options=["Send"], **kwargs)
        self.interrupted = interrupted
        self.timeout: float = seconds_of(timeout)
        self.accepted_timeout = seconds_of(accepted_timeout)
        self.heartbeat_timeout = seconds_of(heartbeat_timeout)
        self.cancel_on_timeout = cancel_on_timeout
        self.show_progress = show_progress
        self.deferrable = options.default_deferrable() if deferrable is None else deferrable
        self.inline_wait = inline_wait
        self.inline_result_limit = inline_result_limit
        self.workflow_events_conn_id = workflow_events_conn_id
        self.on_interrupt = on_interrupt
        self.run_link = ""
        if self.timeout <= 0:
            raise ValueError(f"timeout must be above 0 seconds, not {self.timeout:g}")

    @told_to_airflow()
    def execute(self, context: Context) -> Any:
        """Show the run's question; or return the value at once, where the run has not stopped at one."""
        stopped = Interruption.of(self.interrupted)
        if stopped is None:
            return self.interrupted
        if identity_of(context).attempt > 1:
            return self._go_on(context, stopped, self._standing(context, stopped))
        return self._show(context, stopped)

    @told_to_airflow()
    def execute_complete(  # type: ignore[override]  # what it shows is not known before it runs
        self, context: Context, event: dict[str, Any], interrupted: dict[str, Any]
    ) -> Any:
        """Go on with the human's answer."""
        stopped, questions = _questions_in(interrupted)
        form = self._set_form(questions)
        if event.get("error_type") == "validation":  # before Airflow 3.3 it is its trigger that looks
            return self._refuse(context, stopped, event["error"])
        try:
            given = super().execute_complete(context, event)
            answers = answers_in(questions, given["chosen_options"], given["params_input"])
        except HITLTimeoutError as error:
            raise AirflowFailException(f"Nobody has answered {form.subject!r} in time: {error}") from error
        except ValueError as error:
            return self._refuse(context, stopped, error)
        self.log.info("Answered by %s; going on with thread %s.", given["responded_by_user"], stopped.thread_id)
        with self.hook.client() as client:
            pending = self._resume(client, context, stopped, answers, *answers)
            self._asked = [pending]
            with self._stopping_when_unwanted(context):
                result = self._wait_here(client, pending)
        if result is None:
            self._asked = ()
            defer_until_result(
                self,
                pending,
                conn_id=self.workflow_events_conn_id,
                inline_result_limit=self.inline_result_limit,
                method_name="execute_resumed",
                show_progress=self.show_progress,
                kwargs={"interrupted": interrupted},
            )
        return self._go_on(context, stopped, result)

    @told_to_airflow()
    def execute_resumed(self, context: Context, event: Handover, interrupted: dict[str, Any]) -> Any:
        """Go on with what the trigger hands over of the run that has the answer."""
        self.run_link = self.hook.run_url(pending_of(event))
        try:
            result = take_over(event, self.hook.read_result, self.hook.read_stored)
        except ResultTimeoutError as error:
            self._timed_out([error.pending])
            raise
        return self._go_on(context, _questions_in(interrupted)[0], result)

    def _go_on(self, context: Context, stopped: Interruption, result: WorkflowResultEvent) -> Any:
        """The run's result, or its next questions."""
        if result.status is not ResultStatus.INTERRUPTED:
            return value_of(self.hook.with_payload(result))
        again = _stopped_again(result, stopped)
        if _form_of(again) == _form_of(stopped):
            self.log.info("The workflow asks this, still or again.")
            return self._show(context, again)
        return again.to_value() if self.on_interrupt == "return" else value_of(self.hook.with_payload(result))

    def _refuse(self, context: Context, stopped: Interruption, error: object) -> NoReturn:
        self.log.warning("The answer does not fit the question, and can be given again: %s", error)
        self._show(context, stopped)

    def _show(self, context: Context, stopped: Interruption) -> NoReturn:
        """Wait for the human.

        Raises:
            TaskAwaitingInput, TaskDeferred: one of the two, by Airflow's version.
        """
        questions = stopped.questions
        if not questions:
            raise AirflowFailException(
                f"The run on thread {stopped.thread_id} stands at a breakpoint ({stopped.interrupts}), which asks nothing that "
                "a human could answer; use interrupt() in the graph."
            )
        self._set_form(questions)
        try:
            super().execute(context)
        except _PARKED as parked:
            waiting: Any = parked
            waiting.kwargs = {**(waiting.kwargs or {}), "interrupted": stopped.to_value()}
            raise
        raise AssertionError("Airflow's operator waits for an answer")

    def _set_form(self, questions: Sequence[Question]) -> Form:
        """Have Airflow's operator ask this, and judge answers by it."""
        form = Form.of(questions)
        self.subject, self.body = form.subject, form.body
        self.options, self.multiple = form.options, form.multiple
        # None stands for an empty field: Airflow cannot send a form whose field has no value at all.
        self.params = ParamsDict(
            {name: Param(**{"default": None, **schema}) for name, schema in form.fields.items()},
        )
        return form

    def _standing(self, context: Context, stopped: Interruption) -> WorkflowResultEvent:
        """Where the run stands now."""
        with self.hook.client() as client:
            pending = self._resume(client, context, stopped, {}, "standing", str(identity_of(context).attempt))
            self._asked = [pending]
            try:
                return client.wait(pending)
            finally:
                self._asked = ()

    def _resume(
        self, client: WorkflowClient, context: Context, stopped: Interruption, answers: dict[str, Any], *parts: str
    ) -> PendingRequest:
        identity = identity_of(context)
        pending = client.submit(
            stopped.workflow_id,
            {"correlation_id": stopped.root, "answers": answers},
            event_type=EventType.WORKFLOW_RESUME,
            correlation_id=identity.correlation_id_about(*parts),
            timeout=self.timeout,
            workflow_run_id=identity.workflow_run_id,
            attempt=identity.attempt,
            thread_id=stopped.thread_id,
            graph=stopped.graph,
            **self._clocks(),
        )
        self.run_link = self.hook.run_url(pending)
        self._log_asked(client, pending, f"request {pending.correlation_id}, on thread {stopped.thread_id},")
        return pending


def _questions_in(interrupted: dict[str, Any]) -> tuple[Interruption, list[Question]]:
    stopped = Interruption.of(interrupted)
    questions = stopped.questions if stopped else []
    if stopped is None or not questions:
        raise AssertionError("only what has a question is shown")
    return stopped, questions


def _stopped_again(result: WorkflowResultEvent, before: Interruption) -> Interruption:
    again = Interruption.of(interruption_of(result, before.graph, before.root))
    if again is None:
        raise AssertionError("what interruption_of() makes is one")
    return again


def _form_of(stopped: Interruption) -> Form | None:
    """What Airflow's page shows of the questions; it stays the same for the whole of a task instance's life."""
    questions = stopped.questions
    return Form.of(questions) if questions else None

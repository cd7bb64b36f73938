"""``@task.workflow``: a function that returns a request's data becomes a task whose value is the workflow's result.

A function that returns a list of them becomes a task that asks as many times and has the list of results.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Protocol, cast, overload

from airflow.sdk.bases.decorator import DecoratedOperator, determine_kwargs, task_decorator_factory
from airflow.sdk.definitions.context import context_merge

from airflow_integration.operator import WorkflowOperator

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.sdk import Context
    from airflow.sdk.bases.decorator import Task

    from airflow_integration.operator import OnInterrupt
    from workflow_events.replies.gathering import WaitFor

__all__ = ["task", "workflow_task"]

P = ParamSpec("P")


class _WorkflowDecoratedOperator(DecoratedOperator, WorkflowOperator):
    """The operator behind ``@task.workflow``.

    What the function returns is data, not a template: it is sent as it is, for it may hold other people's text.
    """

    custom_operator_name = "@task.workflow"
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *(field for field in WorkflowOperator.template_fields if field != "data"),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **WorkflowOperator.template_fields_renderers,
    }

    def __init__(
        self,
        *,
        python_callable: Callable[..., Mapping[str, Any] | Sequence[Mapping[str, Any]]],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        workflow_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            workflow_id=workflow_id or python_callable.__name__,
            **kwargs,
        )

    def execute(self, context: Context) -> Any:
        """Call the function for the request's data, or for a list of them; then ask and wait as the operator does."""
        context_merge(context, self.op_kwargs)
        arguments = determine_kwargs(self.python_callable, self.op_args, cast("Mapping[str, Any]", context))
        data = self.python_callable(*self.op_args, **arguments)
        if not isinstance(data, Mapping | Sequence) or isinstance(data, str | bytes):
            raise TypeError(
                f"{self.python_callable.__name__}() must return the request's data, a dict with JSON values or a list of "
                f"such dicts, and returned {type(data).__name__}."
            )
        self.data = data
        return super().execute(context)


class _MakeTask(Protocol):
    """What type checkers know of ``@task.workflow(...)``: one input makes one result, a list of inputs a list."""

    @overload
    def __call__(self, python_callable: Callable[P, Mapping[str, Any]], /) -> Task[P, dict[str, Any]]: ...

    @overload
    def __call__(
        self, python_callable: Callable[P, Sequence[Mapping[str, Any]]], /
    ) -> Task[P, list[dict[str, Any] | None]]: ...


class _Decorate(Protocol):
    """What type checkers know of ``@task.workflow``."""

    @overload
    def __call__(self, python_callable: Callable[P, Mapping[str, Any]]) -> Task[P, dict[str, Any]]: ...

    @overload
    def __call__(
        self, python_callable: Callable[P, Sequence[Mapping[str, Any]]]
    ) -> Task[P, list[dict[str, Any] | None]]: ...

    @overload
    def __call__(
        self,
        *,
        workflow_id: str | None = None,
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
        workflow_events_conn_id: str = ...,
        multiple_outputs: bool = False,
        **kwargs: Any,
    ) -> _MakeTask: ...


def _workflow_task(
    python_callable: Callable[..., Mapping[str, Any] | Sequence[Mapping[str, Any]]] | None = None,
    *,
    multiple_outputs: bool = False,
    **kwargs: Any,
) -> Any:
    """Make a task of a function that returns a request's data, or a list of them. Airflow knows it as ``@task.workflow``.

    ::

        @task.workflow(workflow_id="summarise", timeout=60)
        def summary(text: str) -> dict:
            return {"text": text}


        @task.workflow(workflow_id="summarise", timeout=600, wait_for="all")
        def summaries(texts: list[str]) -> list[dict]:
            return [{"text": text} for text in texts]

    Args:
        python_callable: the function.
        multiple_outputs: whether each of the result's keys becomes an XCom of its own. Never taken from the function's
            annotation: that tells of the request, not of the result.
        **kwargs: of :class:`~airflow_integration.operator.WorkflowOperator`; ``workflow_id`` is the function's name where
            left out.
    """
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=multiple_outputs,
        decorated_operator_class=_WorkflowDecoratedOperator,
        **kwargs,
    )


workflow_task: _Decorate = _workflow_task

if TYPE_CHECKING:
    from airflow.sdk.definitions.decorators import TaskDecoratorCollection

    class _TaskDecorators(TaskDecoratorCollection):
        workflow: _Decorate

    task: _TaskDecorators
    """Airflow's own ``task``. Imported from here, type checkers know that it has ``workflow``, which Airflow finds while it
    runs."""
else:
    from airflow.sdk import task

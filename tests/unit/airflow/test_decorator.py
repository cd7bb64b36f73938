from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk import DAG, XComArg
from airflow.sdk import task as airflow_task

from airflow_integration import WorkflowOperator, task, workflow_task


@pytest.fixture
def dag() -> DAG:
    return DAG("d", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None)


def operator_of(made: Any) -> Any:
    assert isinstance(made, XComArg)
    return made.operator  # type: ignore[attr-defined]


def test_airflow_knows_the_decorator_by_its_short_name() -> None:
    found: Any = airflow_task.workflow

    assert found is workflow_task
    assert id(task) == id(airflow_task)


def test_without_arguments_the_function_names_task_and_workflow(dag: DAG) -> None:
    @task.workflow
    def summarise(text: str) -> dict[str, Any]:
        return {"text": text}

    with dag:
        operator = operator_of(summarise("t"))

    assert (operator.task_id, operator.workflow_id, operator.timeout) == ("summarise", "summarise", 300.0)
    assert operator.op_args == ("t",)


def test_with_arguments_the_operators_are_taken(dag: DAG) -> None:
    @task.workflow(
        workflow_id="w", timeout=7, graph="g", deferrable=True, workflow_events_conn_id="c", task_id="t", retries=4
    )
    def summarise() -> dict[str, Any]:
        return {}

    with dag:
        operator = operator_of(summarise())

    assert (operator.workflow_id, operator.timeout, operator.graph, operator.deferrable) == ("w", 7, "g", True)
    assert (operator.workflow_events_conn_id, operator.task_id, operator.retries) == ("c", "t", 4)


def test_the_functions_annotation_tells_of_the_request_so_it_does_not_split_the_result(dag: DAG) -> None:
    @task.workflow
    def summarise() -> dict[str, Any]:
        return {}

    @task.workflow(multiple_outputs=True)
    def split() -> dict[str, Any]:
        return {}

    with dag:
        assert operator_of(summarise()).multiple_outputs is False
        assert operator_of(split()).multiple_outputs is True


def test_override_and_partial_and_expand_go_together(dag: DAG) -> None:
    @task.workflow(workflow_id="w")
    def summarise(text: str, length: int) -> dict[str, Any]:
        return {"text": text, "length": length}

    with dag:
        operator = operator_of(summarise.override(task_id="t", timeout=9).partial(length=3).expand(text=["a", "b"]))

    assert operator.task_id == "t"
    assert operator.partial_kwargs["timeout"] == 9
    assert operator.partial_kwargs["workflow_id"] == "w"
    assert operator.partial_kwargs["op_kwargs"] == {"length": 3}
    assert operator.op_kwargs_expand_input.value == {"text": ["a", "b"]}


def test_the_functions_data_is_not_rendered_as_a_template_but_its_arguments_and_the_names_are(dag: DAG) -> None:
    @task.workflow
    def summarise(text: str) -> dict[str, Any]:
        return {"text": text}

    with dag:
        fields = operator_of(summarise("{{ ds }}")).template_fields

    assert "data" not in fields
    assert {"op_args", "op_kwargs", "workflow_id", "graph", "thread_id", "metadata"} <= set(fields)


@pytest.mark.parametrize(
    "data, said",
    [
        ("text", r"summarise\(\) must return the request's data.*str"),
        (None, r"summarise\(\) must return the request's data.*NoneType"),
        ([{}, "not", {}], "element 1 of 3, counted from 0, is of type str"),
    ],
    ids=["text", "nothing", "a list with a text"],
)
def test_a_function_that_returns_no_data_is_told_so(data: object, said: str, dag: DAG) -> None:
    @task.workflow
    def summarise() -> Any:
        return data

    with dag:
        operator = operator_of(summarise())

    with pytest.raises(TypeError, match=said):
        # As Airflow's task runner calls it, past the guard against calls from DAG files.
        type(operator).execute.__wrapped__(operator, {})


def test_type_checkers_know_that_a_list_of_questions_has_a_list_of_answers(dag: DAG) -> None:
    @task.workflow
    def one() -> dict[str, Any]:
        return {}

    @task.workflow(wait_for="first", return_partial_on_timeout=True)
    def many(count: int) -> list[dict[str, Any]]:
        return [{}] * count

    # What the function is to type checkers: not what the task's value is made of, which only runs tell.
    told_one: Callable[[], dict[str, Any]] = one.function
    told_many: Callable[[int], list[dict[str, Any] | None]] = many.function

    with dag:
        made = operator_of(many(3))

    assert (told_one(), told_many(2)) == ({}, [{}, {}])
    assert (made.wait_for, made.return_partial_on_timeout) == ("first", True)


class TestTheOperator:
    def test_its_arguments_are_readable(self) -> None:
        arguments: dict[str, Any] = {
            "workflow_id": "w",
            "data": [{"a": 1}],
            "wait_for": 1,
            "return_partial_on_timeout": True,
            "timeout": 5.0,
            "graph": "g",
            "thread_id": "t",
            "metadata": {"environment": "prod"},
            "deferrable": True,
            "inline_wait": 1.0,
            "inline_result_limit": 7,
            "workflow_events_conn_id": "c",
        }

        operator = WorkflowOperator(task_id="x", **arguments)

        assert {name: getattr(operator, name) for name in arguments} == arguments

    def test_a_timedelta_is_a_timeout_too(self) -> None:
        from datetime import timedelta

        assert WorkflowOperator(task_id="x", workflow_id="w", timeout=timedelta(minutes=2)).timeout == 120

    def test_a_timeout_of_nothing_is_refused_while_parsing(self) -> None:
        with pytest.raises(ValueError, match="timeout must be above 0"):
            WorkflowOperator(task_id="x", workflow_id="w", timeout=0)

    @pytest.mark.parametrize("wait_for", ["any", 0, -3, True, 1.5], ids=str)
    def test_what_cannot_be_waited_for_is_refused_while_parsing(self, wait_for: Any) -> None:
        with pytest.raises(ValueError, match="wait_for is 'all', 'first' or a number above 0"):
            WorkflowOperator(task_id="x", workflow_id="w", data=[], wait_for=wait_for)

    def test_airflows_default_decides_on_deferral(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert WorkflowOperator(task_id="x", workflow_id="w").deferrable is False

        monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")

        assert WorkflowOperator(task_id="x", workflow_id="w").deferrable is True
        assert WorkflowOperator(task_id="x", workflow_id="w", deferrable=False).deferrable is False

    def test_templates_are_rendered_inside_the_data(self, dag: DAG) -> None:
        with dag:
            operator = WorkflowOperator(
                task_id="x", workflow_id="w-{{ who }}", data={"a": ["{{ who }}"], "b": {"c": "{{ who }}"}}
            )

        operator.render_template_fields({"who": "me"})  # type: ignore[typeddict-unknown-key]

        assert (operator.workflow_id, operator.data) == ("w-me", {"a": ["me"], "b": {"c": "me"}})

    def test_templates_are_rendered_inside_a_list_of_data(self, dag: DAG) -> None:
        with dag:
            operator = WorkflowOperator(task_id="x", workflow_id="w", data=[{"a": "{{ who }}"}, {"b": ["{{ who }}"]}])

        operator.render_template_fields({"who": "me"})  # type: ignore[typeddict-unknown-key]

        assert operator.data == [{"a": "me"}, {"b": ["me"]}]

    def test_it_maps_over_data(self, dag: DAG) -> None:
        with dag:
            mapped = WorkflowOperator.partial(task_id="x", workflow_id="w").expand(data=[{"n": 1}, {"n": 2}])

        assert mapped.expand_input.value == {"data": [{"n": 1}, {"n": 2}]}

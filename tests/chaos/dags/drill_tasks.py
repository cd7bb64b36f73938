"""The DAGs of the drills: tasks that are marked failed while their run is under way, and tasks that lose a triggerer."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_integration import WorkflowOperator

AT_ONCE = 4
"""Tasks that hold a worker slot at the same time; each is a process that waits."""


def numbers() -> Param:
    """A parameter; each needs one of its own, for Airflow keeps the run's value in it."""
    return Param([], type="array")


@task
def plan(what: str, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return [{"n": n} for n in (params or {})[what]]


with DAG("drill_cancel", schedule=None, catchup=False, params={"deferred": numbers(), "here": numbers()}):
    WorkflowOperator.partial(
        task_id="deferred", workflow_id="stopping", timeout=1200, deferrable=True, inline_wait=0
    ).expand(data=plan.override(task_id="plan_deferred")("deferred"))
    WorkflowOperator.partial(
        task_id="here", workflow_id="stopping", timeout=1200, deferrable=False, max_active_tis_per_dagrun=AT_ONCE
    ).expand(data=plan.override(task_id="plan_here")("here"))


with DAG("drill_provider", schedule=None, catchup=False, params={"data": Param([], type="array")}):

    @task
    def asked(params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        return list((params or {})["data"])

    WorkflowOperator.partial(task_id="ask", workflow_id="echo", deferrable=True).expand(data=asked())

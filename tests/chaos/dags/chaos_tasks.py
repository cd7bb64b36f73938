"""The DAG of a chaos session: mapped tasks, each of which asks one number of the chaos workers."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_integration import WorkflowOperator

with DAG("chaos_tasks", schedule=None, catchup=False, params={"numbers": Param([0], type="array")}):

    @task(retries=5, retry_delay=1)
    def plan(params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        return [{"n": n} for n in (params or {})["numbers"]]

    WorkflowOperator.partial(
        task_id="ask", workflow_id="chaos", timeout=1200, deferrable=True, inline_wait=0, retries=5, retry_delay=1
    ).expand(data=plan())

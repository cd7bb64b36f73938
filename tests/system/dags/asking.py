"""DAGs that ask a worker which answers as the request says (see ``tests/system/responder.py``)."""

from __future__ import annotations

import time
from typing import Any

from airflow.sdk import DAG, BaseOperatorLink, Param, task

from airflow_integration import WorkflowHumanOperator, WorkflowOperator, WorkflowResultSensor

DATA = Param([{}], type="array")
"""What each mapped task asks; given by the run."""


@task
def plan(params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return list((params or {})["data"])


def asking(dag_id: str, **options: Any) -> None:
    with DAG(dag_id, schedule=None, catchup=False, params={"data": DATA}):
        WorkflowOperator.partial(task_id="ask", workflow_id="echo", timeout=180, **options).expand(data=plan())


asking("ask_here", deferrable=False)
asking("ask_deferrable", deferrable=True)
asking("ask_deferring_at_once", deferrable=True, inline_wait=0)
asking("ask_by_connection", deferrable=True, inline_wait=0, workflow_events_conn_id="team")
asking("ask_with_retries", deferrable=True, inline_wait=0, retries=1, retry_delay=1)


with DAG("ask_many", schedule=None, catchup=False, params={"data": DATA}):
    WorkflowOperator(
        task_id="ask",
        workflow_id="echo",
        data=plan(),
        timeout=180,
        deferrable=True,
        inline_wait=0,
        retries=1,
        retry_delay=1,
    )


class SlowLink(BaseOperatorLink):
    """Airflow asks for links after the task is deferred and before its process ends: so this process ends late."""

    name = "slow"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        time.sleep(0 if operator.resumed else 15)
        return ""


class LateToExit(WorkflowOperator):
    """Ends its first process late, and runs long in its second: whatever is reported of the first comes in between."""

    operator_extra_links = (SlowLink(),)
    resumed = False

    def execute_complete(self, context: Any, event: Any) -> dict[str, Any]:
        self.resumed = True
        time.sleep(10)
        return super().execute_complete(context, event)


with DAG("ask_late_to_exit", schedule=None, catchup=False, params={"data": DATA}):
    LateToExit.partial(task_id="ask", workflow_id="echo", timeout=180, deferrable=True, inline_wait=0).expand(
        data=plan()
    )

with DAG("ask_and_sense", schedule=None, catchup=False, params={"data": DATA}):

    @task
    def submit(params: dict[str, Any] | None = None) -> dict[str, Any]:
        from workflow_events import WorkflowClient

        with WorkflowClient() as client:
            return client.submit("echo", (params or {})["data"][0], timeout=120).to_json()

    pending = submit()
    WorkflowResultSensor(task_id="sense", pending=pending, deferrable=True)
    WorkflowResultSensor(task_id="look", pending=pending, mode="reschedule", poke_interval=2)
    WorkflowResultSensor(
        task_id="wait",
        correlation_id=pending["correlation_id"],  # type: ignore[index]  # a plain XComArg, as tasks return it, is
        workflow_id="echo",
        timeout=120,
    )

with DAG("ask_the_ledger", schedule=None, catchup=False, params={"data": Param({}, type="object")}):

    @task.workflow(
        workflow_id="ledger",
        timeout=120,
        heartbeat_timeout=3,
        deferrable=True,
        inline_wait=0,
        retries=1,
        retry_delay=1,
    )
    def ask(params: dict[str, Any] | None = None) -> dict[str, Any]:
        return dict((params or {})["data"])

    ask()

with DAG("ask_what_takes_long", schedule=None, catchup=False, params={"ledger": Param("", type="string")}):
    for name, deferrable in (("deferred", True), ("here", False)):
        WorkflowOperator(
            task_id=name,
            workflow_id="ledger",
            data={"ledger": "{{ params.ledger }}." + name, "slow": True},
            timeout=120,
            deferrable=deferrable,
            inline_wait=0,
        )

with DAG("ask_the_panel", schedule=None, catchup=False):
    stopped = WorkflowOperator(
        task_id="begin", workflow_id="panel", data={"product": "mug"}, timeout=120, on_interrupt="return"
    )
    WorkflowHumanOperator(task_id="people", interrupted=stopped.output, timeout=120)

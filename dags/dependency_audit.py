"""The demo's DAG: audit every distribution that is installed beside Airflow, and write a report.

``make demo`` runs it. The workflow that it asks for is :mod:`demo.graph`, which a LangGraph worker runs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.sdk import Param, dag, get_current_context

from airflow_integration import task

CHUNKS = 8
"""Requests into which the work is cut. A mapped task costs Airflow about 1.5 seconds of a core, twice since it is deferred
(once to ask and once to take the answer), whatever the workflow costs. On two cores, eight keep that to half a minute and
still show many tasks waiting at once."""


@dag(
    schedule=None,
    catchup=False,
    tags=["workflow-events", "demo"],
    params={
        "chunks": Param(CHUNKS, type="integer", minimum=1, maximum=1000, title="Requests to cut the work into"),
        "report_folder": Param(
            "reports", type="string", title="Where the report goes, on the machine of the Airflow worker"
        ),
    },
)
def dependency_audit() -> None:
    """Ask a LangGraph worker for a verdict on every installed distribution."""

    @task
    def requests() -> list[dict[str, Any]]:
        """List what is installed, in as many lists as there shall be requests."""
        from demo.inventory import chunked, installed  # noqa: PLC0415 - parsed often, run once

        context = get_current_context()
        as_of = (context["dag_run"].start_date or datetime.now(tz=UTC)).date().isoformat()
        names = list(installed())
        return [{"distributions": chunk, "as_of": as_of} for chunk in chunked(names, context["params"]["chunks"])]

    # inline_wait=0: these answers come so soon that a task would otherwise wait for them in its worker slot.
    @task.workflow(workflow_id="dependency_audit", timeout=150, deferrable=True, inline_wait=0)
    def audit(request: dict[str, Any]) -> dict[str, Any]:
        """Ask for the verdicts on one list of distributions, and give the worker slot free until they are there."""
        return request

    @task
    def report(asked: list[dict[str, Any]], results: list[dict[str, Any]]) -> dict[str, Any]:
        """Put the verdicts together, write them down, and fail if any distribution has none or several."""
        import platform  # noqa: PLC0415 - parsed often, run once
        from datetime import date  # noqa: PLC0415

        from demo.report import build_report, write_report  # noqa: PLC0415

        context = get_current_context()
        made = build_report(
            [name for request in asked for name in request["distributions"]],
            results,
            as_of=date.fromisoformat(asked[0]["as_of"]),
            python=platform.python_version(),
            platform=platform.system(),
            run=str(context["run_id"]),
        )
        written = write_report(made, Path(context["params"]["report_folder"]))
        if any(made.discrepancies):
            message = f"not one verdict for each distribution: {made.discrepancies}"
            raise RuntimeError(message)
        return {"html": str(written.html), "json": str(written.json), "verdicts": len(made.verdicts)}

    # Any: the type checker is told of a task's value only once it is there.
    asked: Any = requests()
    results: Any = audit.expand(request=asked)
    report(asked, results)


dependency_audit()

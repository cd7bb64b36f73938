"""What to show of a DAG run that failed: the first failed task's own words, and where the whole logs are kept."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from demo.parts import tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.observation import RunHistory, TaskKey
    from demo.parts import DemoParts

_LOGS = "demo-logs"


def why_failed(parts: DemoParts, history: RunHistory, dag_id: str, run_id: str) -> str:
    """Which tasks failed, and what the log of the first one says of it."""
    failed = history.failed()
    if not failed:
        return "the DAG run failed, and none of its tasks did"
    names = ", ".join(f"{task_id}[{index}]" if index >= 0 else task_id for task_id, index in failed)
    return f"failed tasks: {names}. The end of the first one's log:\n{_end_of_log(parts, history, failed[0], dag_id, run_id)}"


def readable(entries: Sequence[str | dict[str, Any]]) -> str:
    """A task's log as its REST API gives it, a line for each entry, with the exception that an entry carries.

    The fields that are the same in every entry (ids, source lines) are left out.
    """
    lines = []
    for entry in entries:
        if isinstance(entry, str):
            lines.append(entry)
            continue
        event = str(entry.get("event", ""))
        if event.startswith("::"):  # the marks by which Airflow's web page folds groups of lines
            continue
        lines.append(f"{entry.get('level') or '':8}{event}")
        errors = entry.get("error_detail") or ()
        lines += [f"{'':8}{error.get('exc_type')}: {error.get('exc_value')}" for error in errors]
    return "\n".join(lines)


def keep_logs(parts: DemoParts, folder: Path) -> Path:
    """Copy the logs of all parts and of all tasks to ``folder``'s ``demo-logs``, and return that folder.

    Raises:
        OSError: they cannot be written there.
    """
    forget_logs(folder)
    kept = folder / _LOGS
    kept.mkdir(parents=True)
    for name, log in parts.logs().items():
        (kept / f"{name.replace(' ', '-').lower()}.log").write_text(log, encoding="utf-8")
    tasks = parts.airflow.home / "logs"
    if tasks.is_dir():
        shutil.copytree(tasks, kept / "airflow-tasks")
    return kept


def forget_logs(folder: Path) -> None:
    """Remove what :func:`keep_logs` kept of an earlier run."""
    shutil.rmtree(folder / _LOGS, ignore_errors=True)


def shown(path: Path) -> str:
    """The path as short as it can be said from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _end_of_log(parts: DemoParts, history: RunHistory, task: TaskKey, dag_id: str, run_id: str) -> str:
    number = history.tasks[task].record.get("try_number") or 1
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task.task_id}/logs/{number}"
    try:
        entries = parts.airflow.rest("GET", path, params={"map_index": task.map_index, "full_content": True})["content"]
    except httpx.HTTPError as error:
        return tail(f"(it cannot be read: {error})")
    return tail(readable(entries))

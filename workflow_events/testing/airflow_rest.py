"""What tests ask of a running Airflow, over its public REST API (``/api/v2``)."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from workflow_events.testing.waiting import wait_until

if TYPE_CHECKING:
    import httpx

FINAL_STATES = frozenset({"success", "failed"})
"""The states in which a DAG run stays."""


class DagImportError(RuntimeError):
    """Airflow could not import a DAG file; the message is what it says about it."""


class AirflowRest:
    """Airflow's REST API, for an Airflow whose simple auth manager takes everybody for an admin.

    Args:
        base_url: as ``http://host:port``.

    Every method raises `httpx.HTTPStatusError` where Airflow refuses, and `httpx.TransportError` where it does not answer.
    """

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    def close(self) -> None:
        """Close the connections."""
        if "_client" in self.__dict__:
            self._client.close()
            del self.__dict__["_client"]

    def rest(self, method: str, path: str, *, json: object = None, params: dict[str, Any] | None = None) -> Any:
        """Call the API and return the decoded answer, `None` where there is none.

        Args:
            method: such as ``GET``.
            path: below ``/api/v2``, such as ``/dags``.
            json: the request's body.
            params: the query.
        """
        answer = self._client.request(method, f"/api/v2{path}", json=json, params=params)
        if answer.is_error:
            raise _with_body(answer)
        return answer.json() if answer.content else None

    def health(self) -> dict[str, dict[str, str | None]]:
        """Return the state and the last heartbeat of each component."""
        answer: dict[str, dict[str, str | None]] = self.rest("GET", "/monitor/health")
        return answer

    def triggerers(self) -> set[int]:
        """Return the job ids of the triggerers whose heartbeat is not stale; a killed one's is not yet for some 30 s."""
        found = self.rest("GET", "/jobs", params={"job_type": "TriggererJob", "is_alive": True, "limit": 1000})
        return {int(job["id"]) for job in found["jobs"]}

    def wait_for_dag(self, dag_id: str, timeout: float = 60.0) -> dict[str, Any]:
        """Wait until Airflow has parsed the DAG, and return what it says about it.

        Raises:
            DagImportError: a file of the DAGs folder cannot be imported.
            TimeoutError: there is no such DAG within `timeout` seconds.
        """

        def parsed() -> dict[str, Any]:
            errors = self.rest("GET", "/importErrors")["import_errors"]
            if errors:
                raise DagImportError("\n".join(f"{error['filename']}:\n{error['stack_trace']}" for error in errors))
            found = self.rest("GET", "/dags", params={"dag_id_pattern": dag_id, "limit": 1000})["dags"]
            return next((dag for dag in found if dag["dag_id"] == dag_id), {})

        return wait_until(parsed, timeout, interval=0.2, what=f"the DAG {dag_id!r}")

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None, *, run_id: str | None = None) -> str:
        """Switch the DAG on, start a run of it and return the run's id."""
        self.rest("PATCH", f"/dags/{dag_id}", json={"is_paused": False})
        body: dict[str, Any] = {"logical_date": None, "conf": conf or {}}
        if run_id is not None:
            body["dag_run_id"] = run_id
        return str(self.rest("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of the run: ``queued``, ``running``, ``success`` or ``failed``."""
        return str(self.rest("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the run's task instances as the API shows them: ``task_id``, ``map_index``, ``state``, ``try_number``, ..."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.rest(
                "GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", params={"limit": 100, "offset": len(found)}
            )
            found += page["task_instances"]
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                return found

    def task_states(self, dag_id: str, run_id: str) -> dict[tuple[str, int], str | None]:
        """Return the state of each task instance of the run by task id and map index (-1 for a task that is not mapped)."""
        return {(task["task_id"], task["map_index"]): task["state"] for task in self.task_instances(dag_id, run_id)}

    def clear(self, dag_id: str, run_id: str, *task_ids: str, only_failed: bool = False) -> None:
        """Clear task instances of the run, as a user does who wants them to run again."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": list(task_ids), "only_failed": only_failed}
        self.rest("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str, *, map_index: int = -1) -> None:
        """Mark a task instance ``success``, ``failed`` or ``skipped``, as a user does who ends it by hand."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        self.rest("PATCH", path, json={"new_state": state}, params={"map_index": map_index})

    def question(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """Return what a task asks a human: ``subject``, ``body``, ``options``, ``params``, ``response_received``, ..."""
        found: dict[str, Any] = self.rest("GET", _hitl_path(dag_id, run_id, task_id, map_index))
        return found

    def respond(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        chosen: list[str],
        fields: dict[str, Any] | None = None,
        *,
        map_index: int = -1,
    ) -> None:
        """Answer a task's question, as a user does on the page of required actions."""
        body = {"chosen_options": chosen, "params_input": fields or {}}
        self.rest("PATCH", _hitl_path(dag_id, run_id, task_id, map_index), json=body)

    def xcom(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, *, key: str = "return_value") -> Any:
        """Return a value that a task has pushed."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.rest("GET", path, params={"map_index": map_index})["value"]

    def task_log(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, *, try_number: int = 1) -> str:
        """Return the log of one try of a task instance, a line for each entry; fields follow the message as JSON."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self.rest("GET", path, params={"map_index": map_index, "full_content": True})["content"]
        return "\n".join(_log_line(entry) for entry in content)

    @functools.cached_property
    def _client(self) -> httpx.Client:
        import httpx

        # The environment's proxies are not for a server on loopback.
        return httpx.Client(base_url=self.base_url, timeout=30.0, trust_env=False)


def _hitl_path(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    return f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/{map_index}/hitlDetails"


def _log_line(entry: str | dict[str, Any]) -> str:
    if isinstance(entry, str):
        return entry
    fields = {name: value for name, value in entry.items() if name not in {"event", "timestamp", "level", "logger"}}
    text = f"{entry.get('timestamp') or ''} {entry.get('level') or ''} {entry.get('event', '')}".strip()
    return f"{text} {json.dumps(fields, default=str)}" if fields else text


def _with_body(answer: httpx.Response) -> httpx.HTTPStatusError:
    """Airflow's reason is in the body, which `httpx.Response.raise_for_status` leaves out."""
    import httpx

    request = answer.request
    message = f"{request.method} {request.url} was answered {answer.status_code}: {answer.text}"
    return httpx.HTTPStatusError(message, request=request, response=answer)

"""The part of a chaos session's requests that a real Airflow asks: mapped tasks that defer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx

from tests.chaos.ledger import Answer
from workflow_events.testing.airflow import AirflowStack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from tests.chaos.parts import Parts

__all__ = ["AirflowTasks"]

_DAG = "chaos_tasks"
_SETTINGS = {
    # Two cores: so many task processes at once as leave something for the rest.
    "AIRFLOW__CORE__PARALLELISM": "4",
    # What a dead scheduler and its task processes leave behind is found within the session; the defaults are five minutes each.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
}


class AirflowTasks:
    """An Airflow on PostgreSQL, and one run of a DAG that asks.

    Args:
        parts: running; Airflow reaches the brokers directly.
        numbers: what the tasks ask, one each.
    """

    def __init__(self, parts: Parts, numbers: Sequence[int]) -> None:
        self.numbers = tuple(numbers)
        self.stack = AirflowStack(
            Path(__file__).with_name("dags"),
            database=parts.postgres.create_database("airflow"),
            environment={"KAFKA_BOOTSTRAP_SERVERS": parts.settings.bootstrap_servers, **_SETTINGS},
        )
        self._run_id = ""

    def __enter__(self) -> Self:
        self.stack.__enter__()
        try:
            self.stack.wait_for_dag(_DAG, timeout=120)
            self._run_id = self.stack.trigger(_DAG, {"numbers": list(self.numbers)})
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stack.close()

    def is_over(self) -> bool:
        """Whether the run has ended, one way or the other."""
        try:
            return self.stack.run_state(_DAG, self._run_id) in {"success", "failed"}
        except httpx.HTTPError:
            return False  # the API server is busy; it is asked again

    def answers(self, ids: Mapping[int, set[str]]) -> list[Answer]:
        """What the tasks were told; a task that failed was told nothing.

        Args:
            ids: under which ids each number was asked. A number that was asked under two is not answered to either.
        """
        states = self.stack.task_states(_DAG, self._run_id)
        return [
            Answer(n, " ".join(sorted(ids.get(n, set()))), "success", self._xcom(place), "Airflow")
            for place, n in enumerate(self.numbers)
            if states.get(("ask", place)) == "success"
        ]

    def tries(self) -> int:
        """How many tries the tasks took, all together."""
        found = self.stack.task_instances(_DAG, self._run_id)
        return sum(int(one["try_number"]) for one in found if one["task_id"] == "ask")

    def _xcom(self, place: int) -> dict[str, Any]:
        value: dict[str, Any] = self.stack.xcom(_DAG, self._run_id, "ask", place)
        return value

"""The provider drill: mapped tasks whose results come after 0 to 15 s, two triggerers, and the death of one of them.

Airflow and the provider are on their default settings, and no task has retries: one try each must do.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tests.chaos.drill_parts import drill_airflow, drill_broker
from tests.system.responder import Responder
from tests.system.runs import log_of
from workflow_events.testing.postgres import PostgresServer

if TYPE_CHECKING:
    from workflow_events.testing.airflow import AirflowStack

__all__ = ["ProviderRun", "run_provider_drill"]

_DAG = "drill_provider"
_LONGEST_DELAY = 15.0  # seconds
_RUN_TIMEOUT = 1_200.0  # seconds
_FAIR_SHARE = 4  # deferred tasks that the triggerer to be killed has, if that can be had
_LATE = 0.8  # share of the tasks; when so many have ended, fewer will do
_LINES = 12


@dataclass(frozen=True, slots=True)
class ProviderRun:
    """What came of one run.

    Attributes:
        tasks: how many there were.
        successes: of them, those that succeeded with their own request's answer.
        tries: of all tasks together.
        bereaved: deferred tasks in the killed triggerer's care when it was killed.
        killed_after: seconds from the run's start to that.
        took: seconds from the run's start to its end.
    """

    seed: int
    tasks: int
    successes: int
    tries: int
    bereaved: int
    killed_after: float
    took: float

    @property
    def holds(self) -> bool:
        """Whether all that is promised holds, and the triggerer had tasks to lose."""
        return self.successes == self.tasks == self.tries and self.bereaved > 0

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


def run_provider_drill(
    *, tasks: int = 200, seeds: tuple[int, ...] = (1, 2, 3), say: Callable[[str], None] = lambda _: None
) -> list[ProviderRun]:
    """Run the DAG once for each seed, which says the delays and when the triggerer dies.

    Raises:
        PartUnavailableError: Apache Kafka or PostgreSQL cannot be had here.
        ServerStartError: a part does not come up.
        TimeoutError: a run does not end.
    """
    outcomes: list[ProviderRun] = []
    with ExitStack() as stack:
        settings = stack.enter_context(drill_broker())
        postgres = stack.enter_context(PostgresServer())
        airflow = stack.enter_context(drill_airflow(settings, postgres.create_database("airflow")))
        stack.enter_context(Responder(settings))
        airflow.wait_for_dag(_DAG, timeout=120)
        for seed in seeds:
            outcomes.append(_run(airflow, seed, tasks, say))
            say(f"seed {seed}: {outcomes[-1].to_json()}")
    return outcomes


def _run(airflow: AirflowStack, seed: int, tasks: int, say: Callable[[str], None]) -> ProviderRun:
    chance = random.Random(seed)
    data = [{"n": n, "delay": round(chance.uniform(0.0, _LONGEST_DELAY), 2)} for n in range(tasks)]
    kill_at = round(tasks * chance.uniform(0.2, 0.6))
    with airflow.another_triggerer() as second:
        began = time.monotonic()
        run_id = airflow.trigger(_DAG, {"data": data})

        def care() -> Counter[int]:
            """How many deferred tasks each triggerer has, once one of the two is to be killed."""
            found = [one for one in airflow.task_instances(_DAG, run_id) if one["task_id"] == "ask"]
            ended = sum(one["state"] == "success" for one in found)
            triggers = [one["trigger"] for one in found if one["trigger"] is not None]
            has = Counter(one["triggerer_id"] for one in triggers if one["triggerer_id"])
            enough = max(has.values(), default=0) >= _FAIR_SHARE or ended >= tasks * _LATE
            return has if ended >= kill_at and enough else Counter()

        ((victim, bereaved),) = airflow.wait_for(care, _RUN_TIMEOUT, what="triggerers with tasks").most_common(1)
        if victim == second.job_id:
            second.server.kill()
        else:
            airflow.kill("triggerer")
        killed_after = time.monotonic() - began
        say(f"killed a triggerer with {bereaved} tasks in its care after {killed_after:.0f} s")
        airflow.wait_for_run(_DAG, run_id, _RUN_TIMEOUT)
        took = time.monotonic() - began
    if not airflow.is_running("triggerer"):
        airflow.start_component("triggerer", timeout=120)
    found = [one for one in airflow.task_instances(_DAG, run_id) if one["task_id"] == "ask"]
    say(f"states: {dict(Counter(one['state'] for one in found))}")
    _tell_failures(airflow, found, say)
    answered = [one["map_index"] for one in found if one["state"] == "success"]
    right = sum(airflow.xcom(_DAG, run_id, "ask", n) == {"echo": data[n]} for n in answered)
    return ProviderRun(
        seed, tasks, right, sum(one["try_number"] for one in found), bereaved, round(killed_after, 1), round(took, 1)
    )


def _tell_failures(airflow: AirflowStack, tasks: Sequence[dict[str, Any]], say: Callable[[str], None]) -> None:
    """The last words of each task that failed, and what the scheduler said of it."""
    scheduler = airflow.component_log("scheduler").splitlines()
    for task in (one for one in tasks if one["state"] == "failed"):
        say(f"{task['task_id']}[{task['map_index']}] failed:")
        about = f"map_index={task['map_index']})"
        lines = [line for line in scheduler if "finished with state" in line and about in line]
        for line in [*log_of(airflow, task).splitlines()[-_LINES:], *lines]:
            say(f"  {line}")

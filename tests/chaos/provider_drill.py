"""The provider drill: mapped tasks whose results come after 0 to 15 s, two triggerers, and the death of one of them.

Airflow and the provider are on their default settings, and no task has retries: one try each must do.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tests.chaos.drill_parts import drill_airflow, drill_broker
from tests.system.responder import Responder
from workflow_events.testing.postgres import PostgresServer

if TYPE_CHECKING:
    from workflow_events.testing.airflow import AirflowStack

__all__ = ["ProviderRun", "run_provider_drill"]

_DAG = "drill_provider"
_LONGEST_DELAY = 15.0  # seconds
_RUN_TIMEOUT = 1_200.0  # seconds


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

        def care() -> list[int]:
            """The triggerer of each deferred task, once so many have ended that one is to be killed and it has some."""
            found = [one for one in airflow.task_instances(_DAG, run_id) if one["task_id"] == "ask"]
            ended = sum(one["state"] == "success" for one in found)
            of = [one["trigger"]["triggerer_id"] for one in found if one["trigger"] is not None]
            return of if ended >= kill_at and second.job_id in of else []

        bereaved = airflow.wait_for(care, _RUN_TIMEOUT, what="a triggerer with tasks in its care").count(second.job_id)
        second.server.kill()
        killed_after = time.monotonic() - began
        say(f"killed a triggerer with {bereaved} tasks in its care after {killed_after:.0f} s")
        airflow.wait_for_run(_DAG, run_id, _RUN_TIMEOUT)
        took = time.monotonic() - began
    found = [one for one in airflow.task_instances(_DAG, run_id) if one["task_id"] == "ask"]
    say(f"states: {dict(Counter(one['state'] for one in found))}")
    answered = [one["map_index"] for one in found if one["state"] == "success"]
    right = sum(airflow.xcom(_DAG, run_id, "ask", n) == {"echo": data[n]} for n in answered)
    return ProviderRun(
        seed, tasks, right, sum(one["try_number"] for one in found), bereaved, round(killed_after, 1), round(took, 1)
    )

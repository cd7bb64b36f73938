"""The cancel drill: tasks are marked failed through Airflow's REST API, and the time is taken until the graph has stopped.

The time runs from the API's answer to the note that the graph's node takes when it is cancelled. Marks come at moments that
follow from a seed and stand in no step with Airflow's own rounds.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.chaos.drill_parts import drill_airflow, drill_broker, drill_worker
from tests.chaos.stopping import Notes
from tests.integration.worker.observing import results
from workflow_events.events import ResultStatus
from workflow_events.testing.postgres import PostgresServer

if TYPE_CHECKING:
    from workflow_events.settings import KafkaSettings
    from workflow_events.testing.airflow import AirflowStack

__all__ = ["PLACES", "CancelOutcome", "Stops", "percentile", "run_cancel_drill"]

_DAG = "drill_cancel"
PLACES = {"deferred": "in the triggerer", "here": "in its worker slot"}
"""Where a task waits when it is marked, by its task id."""
_PATIENCE = 60.0  # seconds that a stop may take before the drill is given up
_PAUSE = 2.0  # seconds, at most, between a stop and the next mark; longer than any round of Airflow's triggerer
LIMIT = 2.0
"""Seconds within which 95 of 100 runs have stopped."""


@dataclass(frozen=True, slots=True)
class Stops:
    """What came of the tasks of one place.

    Attributes:
        seconds: from the answer to the mark until the node was cancelled, of each that was.
        marked: tasks that were marked failed.
        recorded: of them, those whose request has a result ``cancelled``.
        further: nodes that began after the mark.
    """

    place: str
    seconds: tuple[float, ...]
    marked: int
    recorded: int
    further: int

    @property
    def holds(self) -> bool:
        """Whether all that is promised holds."""
        whole = self.marked == self.recorded == len(self.seconds) and not self.further
        return whole and percentile(self.seconds, 0.95) < LIMIT

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "place": self.place,
            "marked": self.marked,
            "stopped": len(self.seconds),
            "recorded": self.recorded,
            "further": self.further,
            "p50": percentile(self.seconds, 0.5),
            "p95": percentile(self.seconds, 0.95),
            "max": max(self.seconds, default=math.nan),
        }


@dataclass(frozen=True, slots=True)
class CancelOutcome:
    """What came of the drill."""

    places: tuple[Stops, ...]

    @property
    def all_together(self) -> Stops:
        """The sums of all places."""
        return Stops(
            "all",
            tuple(seconds for one in self.places for seconds in one.seconds),
            sum(one.marked for one in self.places),
            sum(one.recorded for one in self.places),
            sum(one.further for one in self.places),
        )

    @property
    def holds(self) -> bool:
        """Whether it holds in each place, and so for all."""
        return all(one.holds for one in self.places)

    def to_json(self) -> list[dict[str, Any]]:
        """A row for each place and one for all."""
        return [one.to_json() for one in (*self.places, self.all_together)]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of all does not exceed (nearest rank)."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else math.nan


def run_cancel_drill(folder: Path, *, each: int = 25, say: Callable[[str], None] = lambda _: None) -> CancelOutcome:
    """Mark so many deferred tasks failed and as many in their slots, one after the other, and take the times.

    Args:
        folder: empty; gets the notes and the logs.
        say: is told of each stop.

    Raises:
        PartUnavailableError: Apache Kafka or PostgreSQL cannot be had here.
        ServerStartError: a part does not come up.
        TimeoutError: a run does not begin, or not stop, in a minute.
    """
    notes = Notes(folder / "notes.db")
    with ExitStack() as stack:
        settings = stack.enter_context(drill_broker())
        postgres = stack.enter_context(PostgresServer())
        worker = drill_worker(
            settings,
            notes,
            WORKFLOW_WORKER_CHECKPOINTER=postgres.create_database("checkpoints"),
            WORKFLOW_WORKER_CONCURRENCY=str(2 * each),
        )
        stack.callback(worker.kill)
        worker.start()
        airflow = stack.enter_context(drill_airflow(settings, postgres.create_database("airflow")))
        numbers = {"deferred": range(each), "here": range(each, 2 * each)}
        airflow.wait_for_dag(_DAG, timeout=120)
        run_id = airflow.trigger(_DAG, {place: list(found) for place, found in numbers.items()})
        seconds = {place: _stop_each(airflow, run_id, place, found, notes, say) for place, found in numbers.items()}
        asked = {n: note.request for n, note in notes.of("begun").items()}
        recorded = _recorded(airflow, settings, set(asked.values()))
        further = notes.of("further").keys()
        return CancelOutcome(
            tuple(
                Stops(
                    place,
                    tuple(seconds[place]),
                    len(found),
                    sum(asked[n] in recorded for n in found),
                    sum(n in further for n in found),
                )
                for place, found in numbers.items()
            )
        )


def _stop_each(
    airflow: AirflowStack, run_id: str, place: str, numbers: range, notes: Notes, say: Callable[[str], None]
) -> list[float]:
    chance = random.Random(place)
    state = {"deferred": "deferred", "here": "running"}[place]
    left, seconds = set(numbers), []

    def ready() -> list[int]:
        """Those whose node is at work and whose task waits where it is to; for the triggerer, once all of them do."""
        begun, states = notes.of("begun"), airflow.task_states(_DAG, run_id)
        found = sorted(n for n in left if n in begun and states.get((place, n - numbers.start)) == state)
        return found if place == "here" or len(found) == len(left) else []

    def where_it_stands() -> str:
        return f"tasks to mark: {airflow.task_states(_DAG, run_id)}"

    while left:
        n = chance.choice(airflow.wait_for(ready, 300.0, what=where_it_stands))
        threading.Event().wait(chance.uniform(0.0, _PAUSE))
        airflow.set_task_state(_DAG, run_id, place, "failed", map_index=n - numbers.start)
        answered = time.time()
        airflow.wait_for(lambda n=n: n in notes.of("stopped"), _PATIENCE, what=f"the stop of {place} {n}")  # type: ignore[misc]
        seconds.append(notes.of("stopped")[n].at - answered)
        left.discard(n)
        say(f"{PLACES[place]}: {seconds[-1]:.2f} s")
    return seconds


def _recorded(airflow: AirflowStack, settings: KafkaSettings, requests: set[str]) -> set[str]:
    """Which of these requests have a result ``cancelled``; the last one's may be a moment behind its stop."""

    def cancelled() -> set[str]:
        found = asyncio.run(results(settings))
        return requests & {str(one.correlation_id) for one in found if one.status is ResultStatus.CANCELLED}

    try:
        airflow.wait_for(lambda: cancelled() == requests, 30.0)
    except TimeoutError:
        return cancelled()
    return requests

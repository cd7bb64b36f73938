"""One chaos session: the parts, the requests, the disasters in their lanes, and the count at the end."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.airflow_tasks import AirflowTasks
from tests.chaos.counting import Tally, tally
from tests.chaos.disasters import Befallen, Disasters
from tests.chaos.graph import expected
from tests.chaos.parts import Parts
from tests.chaos.requester import id_of
from tests.chaos.schedule import Disaster, Extent, Lane, schedule
from tests.chaos.stored import stored_at
from tests.integration.worker.observing import records, results
from workflow_events import KafkaSettings
from workflow_events.wire import decode_event

__all__ = ["Outcome", "run_session"]

_LOOK_INTERVAL = 0.25  # seconds


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a session.

    Attributes:
        ended_by_themselves: processes that ended without being killed here, by name; they were started again.
        task_tries: of all Airflow tasks together; those beyond one each are of tasks whose process died with the scheduler.
        took: seconds from the first request to the last answer.
    """

    seed: int
    extent: Extent
    befallen: tuple[Befallen, ...]
    tally: Tally
    ended_by_themselves: dict[str, int]
    task_tries: int
    took: float

    @property
    def holds(self) -> bool:
        """Whether all that is promised holds, with every disaster of the schedule."""
        return self.tally.holds and len(self.befallen) == sum(self.extent.kinds.values())

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "seed": self.seed,
            "requests": self.extent.requests,
            "tasks": self.extent.tasks,
            "schedule": [one.to_json() for one in self.befallen],
            "ledger": self.tally.to_json(),
            "ended_by_themselves": self.ended_by_themselves,
            "task_tries": self.task_tries,
            "took_seconds": round(self.took, 1),
        }


def run_session(
    seed: int,
    extent: Extent,
    folder: Path,
    *,
    timeout: float,
    workers: int = 3,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run the disasters of a seed over so many requests, and count.

    Args:
        folder: empty; gets the ledger and the logs.
        timeout: seconds that all of it may take from the first request, and that each request gets to its deadline.
        say: is told of each disaster when it begins and when it is over.

    Raises:
        PartUnavailableError: Apache Kafka or PostgreSQL cannot be had here.
        ServerStartError, TimeoutError: a part does not come up, or not come back.
    """
    stop = threading.Event()
    with ExitStack() as stack:
        parts = stack.enter_context(
            Parts(
                folder,
                seed=seed,
                requests=extent.requests,
                per_second=extent.per_second,
                timeout=timeout,
                workers=workers,
            )
        )
        tasks = None
        if extent.tasks:
            numbers = range(extent.requests, extent.requests + extent.tasks)
            tasks = stack.enter_context(AirflowTasks(parts, numbers))
        parts.start_asking()
        began = time.monotonic()
        disasters = Disasters(parts, stop, tasks.stack if tasks else None)
        lanes = [[one for one in schedule(seed, extent) if one.kind.lane is lane] for lane in Lane]
        with ThreadPoolExecutor(len(lanes)) as pool:
            running = [pool.submit(_run_lane, lane, disasters, parts, stop, say) for lane in lanes]
            try:
                _look_on(parts, tasks, running, extent.requests, began + timeout)
            finally:
                stop.set()
            befallen = sorted((one for lane in running for one in lane.result()), key=lambda one: one.began)
        took = time.monotonic() - began
        parts.wait_until_whole()
        counted = _count(parts, tasks, extent)
        task_tries = tasks.tries() if tasks else 0
        return Outcome(seed, extent, tuple(befallen), counted, _ended_by_themselves(parts), task_tries, took)


def _run_lane(
    lane: list[Disaster], disasters: Disasters, parts: Parts, stop: threading.Event, say: Callable[[str], None]
) -> list[Befallen]:
    befallen: list[Befallen] = []
    for one in lane:
        while parts.ledger.answered_count() < one.at:
            if stop.wait(_LOOK_INTERVAL):
                return befallen
        say(f"{one.kind.value}, after {one.at} answers")
        befallen.append(disasters.bring(one))
        say(f"{one.kind.value}: {befallen[-1].what}; over after {befallen[-1].ended - befallen[-1].began:.1f} s")
    return befallen


def _look_on(
    parts: Parts, tasks: AirflowTasks | None, lanes: list[Future[list[Befallen]]], requests: int, give_up_at: float
) -> None:
    """Start again what ends by itself, until all requests are answered and all disasters are over."""
    while time.monotonic() < give_up_at:
        done, _ = wait(lanes, timeout=_LOOK_INTERVAL, return_when=FIRST_EXCEPTION)
        for lane in done:
            lane.result()  # a disaster that could not be undone ends the session
        for worker in parts.workers:
            worker.look_after()
        if parts.ledger.answered_count() < requests:
            parts.requester.look_after()
        elif len(done) == len(lanes) and (tasks is None or tasks.is_over()):
            return
        if len(done) == len(lanes):
            threading.Event().wait(_LOOK_INTERVAL)  # there is no lane left to wait for


def _ended_by_themselves(parts: Parts) -> dict[str, int]:
    all_of_them = (*parts.workers, parts.requester)
    return {one.server.name: one.ended_by_itself for one in all_of_them if one.ended_by_itself}


def _count(parts: Parts, tasks: AirflowTasks | None, extent: Extent) -> Tally:
    answers = parts.ledger.answers()
    requests = {n: str(id_of(parts.namespace, n)) for n in range(extent.requests)}
    if tasks is not None:
        ids = asyncio.run(_ids_asked(parts.settings))
        answers += tasks.answers(ids)
        requests |= {n: min(ids.get(n, {""})) for n in tasks.numbers}
    return tally(
        requests,
        expected,
        answers,
        asyncio.run(_published(parts.settings)),
        parts.ledger.executions(),
        stored_at(parts.database),
    )


async def _ids_asked(settings: KafkaSettings) -> dict[int, set[str]]:
    """Under which ids each number was asked, out of the requests topic."""
    found: dict[int, set[str]] = defaultdict(set)
    for record in await records(settings, settings.workflow_events_topic):
        event = decode_event(record.value)
        found[int(str(event.payload.data["n"]))].add(str(event.event_id))
    return found


async def _published(settings: KafkaSettings) -> list[tuple[str, str]]:
    return [
        (str(one.correlation_id), json.dumps([one.status.value, one.result, one.error], sort_keys=True))
        for one in await results(settings)
    ]

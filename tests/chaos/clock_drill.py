"""The clock drill: requests that nobody takes, whose worker freezes, or whose broker dies; and when their waits end.

Each is waited for in the three ways there are, each way in a process of its own. Moments follow from a seed and stand in no
step with heartbeats.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.chaos.clock_judging import ACCEPTED, BEAT, HEARTBEAT, Failing, Waits, judged
from tests.chaos.clock_waiter import CONNECTION, Plan, Way, ends_of, is_ready
from tests.chaos.drill_parts import drill_environment, drill_worker, topics_of
from tests.chaos.stopping import Notes
from tests.integration.worker.observing import records
from workflow_events.settings import KafkaSettings
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.processes import ServerProcess
from workflow_events.testing.waiting import wait_until

__all__ = ["ClockOutcome", "run_clock_drill"]

_UNTIL_READY = 180.0  # seconds
_PATIENCE = 60.0  # seconds that a wait may last beyond its time before the drill goes on without it
_TIMEOUT = 600.0  # seconds; nobody waits for so long
_BEFORE_THE_DEADLINE = 12.0  # seconds
_NEVER = 3_600.0  # seconds; clocks that run and do not run out


@dataclass(frozen=True, slots=True)
class ClockOutcome:
    """What came of the drill."""

    waits: tuple[Waits, ...]

    @property
    def holds(self) -> bool:
        """Whether all that is promised holds."""
        return all(one.holds for one in self.waits)

    def to_json(self) -> list[dict[str, Any]]:
        """A row for each failure and way."""
        return [one.to_json() for one in self.waits]


def run_clock_drill(folder: Path, *, each: int = 10, say: Callable[[str], None] = lambda _: None) -> ClockOutcome:
    """Have so many waits of each way end for each of the three reasons, and take the times.

    Args:
        folder: empty; gets notes and logs.
        say: is told how far it is.

    Raises:
        PartUnavailableError: Apache Kafka cannot be had here.
        ServerStartError: a part does not come up.
        TimeoutError: a request is not stored, or its node does not begin, in a minute.
    """
    chance = random.Random(each)
    with ApacheKafka() as kafka:
        settings = topics_of(kafka)
        waits = [
            *_nobody_takes_it(settings, folder / "nobody", each),
            *_its_worker_freezes(settings, folder / "frozen", each, chance, say),
            *_its_broker_dies(kafka, settings, folder / "broker", each, chance, say),
        ]
    return ClockOutcome(tuple(waits))


def _nobody_takes_it(settings: KafkaSettings, folder: Path, each: int) -> list[Waits]:
    with _waiting(settings, folder, 0, each, accepted_timeout=ACCEPTED) as waiting:
        wait_until(waiting.is_over, each * (ACCEPTED + 1.0) + _PATIENCE)
    return waiting.judged(Failing.NO_WORKER)


def _its_worker_freezes(
    settings: KafkaSettings, folder: Path, each: int, chance: random.Random, say: Callable[[str], None]
) -> list[Waits]:
    """One request of each way at a time: the worker freezes while it is at work on the three, and thaws when the waits ended."""
    folder.mkdir()
    notes = Notes(folder / "notes.db")
    worker = drill_worker(
        settings,
        notes,
        WORKFLOW_WORKER_HEARTBEAT_INTERVAL=str(BEAT),
        WORKFLOW_WORKER_CONCURRENCY=str(100 * each),
    )
    befell: dict[int, float] = {}
    with ExitStack() as stack:
        stack.callback(worker.kill)
        worker.start()
        pid = worker.pid
        waiting = stack.enter_context(_waiting(settings, folder, 1_000, each, heartbeat_timeout=HEARTBEAT))
        for turn in range(each):
            numbers = {plan.first + turn for plan in waiting.plans}
            wait_until(partial(_have_begun, notes, numbers), _PATIENCE, what="the nodes' begin")
            threading.Event().wait(chance.uniform(BEAT, 2 * BEAT))
            os.kill(pid, signal.SIGSTOP)
            befell |= dict.fromkeys(numbers, time.time())
            wait_until(partial(waiting.have_ended, numbers), HEARTBEAT + _PATIENCE, what="the waits' ends")
            os.kill(pid, signal.SIGCONT)
            say(f"froze worker {pid} for {time.time() - befell[min(numbers)]:.1f} s")
    return waiting.judged(Failing.FROZEN, worker=pid, befell=befell)


def _its_broker_dies(
    kafka: ApacheKafka,
    settings: KafkaSettings,
    folder: Path,
    each: int,
    chance: random.Random,
    say: Callable[[str], None],
) -> list[Waits]:
    """All at once; every other one has clocks besides, which cannot hear anything either."""
    there = _stored(settings)
    clocks = {"accepted_timeout": _NEVER, "heartbeat_timeout": _NEVER}
    with _waiting(
        settings, folder, 2_000, each, at_once=True, timeout=_BEFORE_THE_DEADLINE, clocked=2, **clocks
    ) as waiting:
        wait_until(lambda: _stored(settings) == there + each * len(Way), _PATIENCE, what="the requests on the topic")
        threading.Event().wait(chance.uniform(0.5, 1.5))
        kafka.kill()
        at = time.time()
        say("killed the broker")
        wait_until(waiting.is_over, _BEFORE_THE_DEADLINE + _PATIENCE)
    return waiting.judged(Failing.NO_BROKER, befell={n: at for plan in waiting.plans for n in plan.numbers})


def _have_begun(notes: Notes, numbers: set[int]) -> bool:
    return numbers <= notes.of("begun").keys()


def _stored(settings: KafkaSettings) -> int:
    return len(asyncio.run(records(settings, settings.workflow_events_topic)))


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The processes that wait, one for each way."""

    plans: Sequence[Plan]
    processes: Sequence[ServerProcess]

    def have_ended(self, numbers: set[int]) -> bool:
        """Whether these waits have."""
        return all(n in ends_of(plan) for plan in self.plans for n in numbers & set(plan.numbers))

    def is_over(self) -> bool:
        """Whether all have ended, or their processes have."""
        return self.have_ended({n for plan in self.plans for n in plan.numbers}) or not any(
            process.is_running for process in self.processes
        )

    def judged(self, failing: Failing, *, worker: int = 0, befell: dict[int, float] | None = None) -> list[Waits]:
        """What the ends come to."""
        return [
            judged(failing, plan.way, plan.numbers, ends_of(plan), worker=worker, befell=befell or {})
            for plan in self.plans
        ]


@contextmanager
def _waiting(
    settings: KafkaSettings,
    folder: Path,
    first: int,
    each: int,
    *,
    at_once: bool = False,
    timeout: float = _TIMEOUT,
    clocked: int = 1,
    **clocks: float,
) -> Iterator[_Waiting]:
    """Processes of all ways, which begin together."""
    go = folder / "go"
    plans = [
        Plan(
            way,
            first + place * 100,
            each,
            at_once,
            timeout,
            clocks.get("accepted_timeout"),
            clocks.get("heartbeat_timeout"),
            clocked,
            str(folder / way),
            str(go),
        )
        for place, way in enumerate(Way)
    ]
    with ExitStack() as stack:
        processes = [_process(settings, plan) for plan in plans]
        for process in processes:
            stack.callback(process.kill)
            process.start()
        for plan, process in zip(plans, processes, strict=True):
            process.wait_ready(lambda plan=plan: is_ready(plan), _UNTIL_READY)  # type: ignore[misc]
        go.touch()
        yield _Waiting(plans, processes)


def _process(settings: KafkaSettings, plan: Plan) -> ServerProcess:
    folder = Path(plan.folder)
    folder.mkdir(parents=True)
    return ServerProcess(
        f"{plan.way} waits",
        [sys.executable, "-m", "tests.chaos.clock_waiter", json.dumps(asdict(plan))],
        log_file=folder / "log",
        environment={
            **drill_environment(settings),
            "AIRFLOW_HOME": str(folder),
            f"AIRFLOW_CONN_{CONNECTION.upper()}": f"workflow-events://{settings.bootstrap_servers}/",
        },
        directory=folder,
    )

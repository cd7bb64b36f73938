"""A process of the clock drill: it asks, waits in one of the three ways there are, and notes when and by what each wait ended."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from workflow_events import AsyncWorkflowClient, KafkaSettings, PendingRequest, WorkflowClient, WorkflowEventsError
from workflow_events.testing.waiting import wait_until

__all__ = ["CONNECTION", "WAYS", "End", "Plan", "Way", "ends_of", "is_ready"]

CONNECTION = "drill"
"""The id of the Airflow connection, which the environment holds."""
_PATIENCE = 180.0  # seconds


class Way(StrEnum):
    """How a wait is done."""

    ASYNC = "async"
    SYNC = "sync"
    TRIGGER = "trigger"


WAYS = {Way.ASYNC: "`AsyncWorkflowClient`", Way.SYNC: "`WorkflowClient`", Way.TRIGGER: "`WorkflowResultTrigger`"}
"""Who waits so."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the process is to do.

    Attributes:
        first: the number of its first request; they count on from there.
        at_once: whether the waits are under way together, or one after the other.
        timeout, accepted_timeout, heartbeat_timeout: of each request, in seconds.
        clocked: one request in so many has the clocks.
        folder: of the process's own: it says there that it is ready, and notes the ends.
        go: a file; when it is there, the process begins.
    """

    way: Way
    first: int
    waits: int
    at_once: bool
    timeout: float
    accepted_timeout: float | None
    heartbeat_timeout: float | None
    clocked: int
    folder: str
    go: str

    @property
    def numbers(self) -> range:
        """The requests, by number."""
        return range(self.first, self.first + self.waits)

    def request(self, n: int) -> dict[str, Any]:
        """What the request is asked with."""
        clocks = {"accepted_timeout": self.accepted_timeout, "heartbeat_timeout": self.heartbeat_timeout}
        return {"timeout": self.timeout, **(clocks if n % self.clocked == 0 else {})}


@dataclass(frozen=True, slots=True)
class End:
    """How a wait ended. Times are seconds since 1970, on the machine's one clock.

    Attributes:
        error: its type's name; empty where there was a result.
        says: its message.
        deadline: the request's; None where the error does not tell of a request.
    """

    n: int
    called: float
    ended: float
    error: str
    says: str
    deadline: float | None


def is_ready(plan: Plan) -> bool:
    """Whether the process waits for the sign to begin."""
    return Path(plan.folder, "ready").exists()


def ends_of(plan: Plan) -> dict[int, End]:
    """What the process has noted so far, by number."""
    path = Path(plan.folder, "ends")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    ends = [End(**json.loads(line)) for line in lines if line.endswith("\n")]
    return {one.n: one for one in ends}


@contextmanager
def _noting(plan: Plan, n: int) -> Iterator[None]:
    called = time.time()
    error: WorkflowEventsError | None = None
    try:
        yield
    except WorkflowEventsError as raised:
        error = raised
    ended = time.time()
    pending = getattr(error, "pending", None)
    deadline = pending.deadline.timestamp() if isinstance(pending, PendingRequest) else None
    end = End(n, called, ended, type(error).__name__ if error else "", str(error or ""), deadline)
    with Path(plan.folder, "ends").open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(end)) + "\n")


def _in_threads(plan: Plan, begin: Callable[[], None]) -> None:
    with WorkflowClient(KafkaSettings()) as client:

        def wait(n: int) -> None:
            with _noting(plan, n):
                client.request("stopping", {"n": n}, **plan.request(n))

        begin()
        with ThreadPoolExecutor(plan.waits if plan.at_once else 1) as threads:
            list(threads.map(wait, plan.numbers))


async def _in_a_loop(plan: Plan, begin: Callable[[], None]) -> None:
    async with AsyncWorkflowClient(KafkaSettings()) as client:

        async def wait(n: int) -> None:
            with _noting(plan, n):
                await client.request("stopping", {"n": n}, **plan.request(n))

        await asyncio.to_thread(begin)
        await _each(plan, wait)


async def _in_triggers(plan: Plan, begin: Callable[[], None]) -> None:
    # Airflow takes seconds to import, and the other ways do without it.
    from airflow_integration import WorkflowResultTrigger
    from airflow_integration.handover import take_over
    from tests.integration.airflow.running import fire, revive

    def refuse(*_: object) -> Any:
        raise AssertionError("nothing is answered here")

    with WorkflowClient(KafkaSettings()) as client:

        async def wait(n: int) -> None:
            with _noting(plan, n):
                pending = await asyncio.to_thread(client.submit, "stopping", {"n": n}, **plan.request(n))
                handed = await fire(revive(WorkflowResultTrigger(pending.to_json(), CONNECTION)))
                take_over(handed, refuse)

        await asyncio.to_thread(begin)
        await _each(plan, wait)


async def _each(plan: Plan, wait: Callable[[int], Awaitable[None]]) -> None:
    if plan.at_once:
        await asyncio.gather(*map(wait, plan.numbers))
        return
    for n in plan.numbers:
        await wait(n)


def _main(plan: Plan) -> None:
    def begin() -> None:
        Path(plan.folder, "ready").touch()
        wait_until(Path(plan.go).exists, _PATIENCE, interval=0.01, what="the sign to begin")

    match plan.way:
        case Way.ASYNC:
            asyncio.run(_in_a_loop(plan, begin))
        case Way.SYNC:
            _in_threads(plan, begin)
        case Way.TRIGGER:
            asyncio.run(_in_triggers(plan, begin))


if __name__ == "__main__":
    _told = json.loads(sys.argv[1])
    _main(Plan(**{**_told, "way": Way(_told["way"])}))

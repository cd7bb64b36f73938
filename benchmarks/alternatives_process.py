"""Runs a way of waiting in a process of its own, as a triggerer is one, and counts its sockets and threads from outside.

Every run has a fresh process, with nothing connected and nothing warm but its imports: it is forked off a template that has
done them. Clients in C have threads that Python does not know, so they are counted where the kernel lists them.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from workflow_events import KafkaSettings

__all__ = ["Job", "Outcome", "Triggerer", "a_triggerer"]

_T = TypeVar("_T")

_GO = "go"
_OFTEN_SECONDS = 0.02
_SELDOM_SECONDS = 0.2
_OFTEN_FOR_SECONDS = 1.0
"""How often, and at first for how long, sockets and threads are counted."""
_PATIENCE_SECONDS = 60.0
"""For everything around the job itself: forking, connecting the publisher."""


@dataclass(frozen=True, slots=True)
class Job:
    """Requests are published, and each one's waiter is to get its reply.

    Attributes:
        settings: the broker; the result topic is new, so that its start is as good as a cursor.
        waiters: how many requests, and as many waiters.
        strangers: results by others, in all, that are published among the replies.
        limit: seconds after which it ends, whoever still waits.
        group_options: librdkafka's, for who is configured kindly.
    """

    settings: KafkaSettings
    waiters: int
    strangers: int
    limit: float
    group_options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job.

    Attributes:
        seconds: from before the first request was published until the last waiter had its reply, or had provably lost it, or
            until the limit.
        had: how many waiters got their own reply.
        stopped: whether the limit ended it.
        sockets, threads: how many more of them the process had at most than before the first waiter was taken up.
    """

    seconds: float
    had: int
    stopped: bool
    sockets: int = 0
    threads: int = 0


class Triggerer:
    """Does jobs, each in a new process; get it by :func:`a_triggerer`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def do(self, contestant: str, job: Job) -> Outcome:
        """Do a job once, in one of the ways of :mod:`benchmarks.alternatives_waiting`.

        Raises:
            RuntimeError: the process failed; what it said is on standard error.
        """
        return await asyncio.to_thread(self._do, contestant, job)

    def _do(self, contestant: str, job: Job) -> Outcome:
        self._connection.send((contestant, job))
        pid = self._receive(int, _PATIENCE_SECONDS)
        try:
            return self._watch(Path("/proc") / str(pid), job.limit + _PATIENCE_SECONDS)
        except BaseException:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise

    def _watch(self, process: Path, patience: float) -> Outcome:
        began = time.perf_counter()
        before = most = _handles(process)
        self._connection.send(_GO)
        while (elapsed := time.perf_counter() - began) < patience:
            if self._connection.poll(_OFTEN_SECONDS if elapsed < _OFTEN_FOR_SECONDS else _SELDOM_SECONDS):
                break
            now = _handles(process)
            most = max(most[0], now[0]), max(most[1], now[1])
        outcome = self._receive(Outcome, 0)
        return replace(outcome, sockets=most[0] - before[0], threads=most[1] - before[1])

    def _receive(self, kind: type[_T], timeout: float) -> _T:
        if not self._connection.poll(timeout):
            raise RuntimeError("The process that waits says nothing more")
        received = self._connection.recv()
        if not isinstance(received, kind):
            raise RuntimeError(received)  # noqa: TRY004 - it is what the template says went wrong
        return received


@contextmanager
def a_triggerer() -> Iterator[Triggerer]:
    """A template process with everything imported, for as long as the block lasts."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    home = tempfile.mkdtemp(prefix="workflow-events-benchmark-airflow-")
    process = context.Process(target=_template, args=(there, home))
    process.start()
    there.close()
    try:
        yield Triggerer(here)
    finally:
        here.close()
        process.join(_PATIENCE_SECONDS)
        process.kill()
        shutil.rmtree(home, ignore_errors=True)


def _handles(process: Path) -> tuple[int, int]:
    """Open sockets and threads of a process; none where it has ended."""
    sockets = 0
    try:
        for entry in (process / "fd").iterdir():
            try:
                sockets += str(entry.readlink()).startswith("socket:")
            except OSError:
                continue
        return sockets, len(list((process / "task").iterdir()))
    except OSError:
        return 0, 0


def _template(connection: Connection, airflow_home: str) -> None:
    # Airflow writes a configuration file into its home when it is first imported: not into the user's.
    os.environ |= {"AIRFLOW_HOME": airflow_home, "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"}
    from benchmarks import alternatives_waiting  # noqa: F401, PLC0415 - imports Airflow

    forking = multiprocessing.get_context("fork")
    while True:
        try:
            contestant, job = connection.recv()
        except EOFError:
            return
        process = forking.Process(target=_waiter, args=(connection, contestant, job))
        process.start()
        process.join()
        if process.exitcode != 0:
            connection.send(f"{contestant} failed with {job.waiters} waiters")


def _waiter(connection: Connection, contestant: str, job: Job) -> None:
    from benchmarks.alternatives_waiting import do  # noqa: PLC0415 - imports Airflow

    def wait_for_start() -> None:
        connection.send(os.getpid())
        assert connection.recv() == _GO

    async def run() -> None:
        connection.send(await do(contestant, job, wait_for_start))
        sys.stdout.flush()
        os._exit(0)  # without taking leave of the broker, for which a hundred clients take their time

    asyncio.run(run())

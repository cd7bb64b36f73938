"""A processor in a process of its own, which :class:`~result_store.processors.Processors` starts and watches over.

It gets its settings on standard input, pickled, for there are secrets in them. The end of that stream asks it to stop, and comes
by itself where whoever started it dies; so does SIGTERM or SIGINT, as they ask ``result-store run``. On what was standard output
it tells how it is (:mod:`result_store.telling`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog

from result_store.assembly import WIRING, Store
from result_store.errors import ResultStoreError
from result_store.event_loop import run_serving
from result_store.garbage import settle
from result_store.logs import configure
from result_store.roles import Role
from result_store.running import until_stopped
from result_store.telling import Report, TellingMetrics
from workflow_events.errors import WorkflowEventsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import BinaryIO

    from result_store.settings import StoreSettings
    from workflow_events.settings import KafkaSettings

__all__ = ["main"]

log = logging.getLogger(__name__)

_INTERVAL: Final = 1.0
"""Seconds between two reports."""


def main() -> int:
    """Store until asked to stop; the exit code."""
    told = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What prints is meant for people.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        kafka, settings = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that has started this one
    except EOFError:  # which has died meanwhile
        return 0
    configure(settings)
    return run_serving(_One(kafka, settings, told).run())


class _One:
    def __init__(self, kafka: KafkaSettings, settings: StoreSettings, told: BinaryIO) -> None:
        self._metrics = TellingMetrics()
        self._store = Store(kafka, settings, Role.PROCESSOR, metrics=self._metrics)
        self._told = told
        self._built = asyncio.Event()
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        structlog.contextvars.bind_contextvars(process=os.getpid())
        try:
            await until_stopped(self._work(), self._stopping, self._built, asked_by=_end_of_input())
        except Exception as error:
            # One of ours says what to do; of any other, people need the traceback.
            ours = isinstance(error, WorkflowEventsError)
            log.error("The processor ends: %s", error, exc_info=None if ours else error)  # noqa: TRY400
            await self._tell(failed=str(error) if ours else f"{type(error).__name__}: {error}")
            return 1
        await self._tell()
        return 0

    async def _work(self) -> None:
        async with WIRING.built(Role.PROCESSOR, self._store), self._reporting():
            self._built.set()
            settle()
            processor = self._store.processor
            async with asyncio.TaskGroup() as tasks:
                stopping = tasks.create_task(self._stopping.wait())
                stopping.add_done_callback(lambda _: processor.stop())
                await processor.run()
                stopping.cancel()

    @asynccontextmanager
    async def _reporting(self) -> AsyncIterator[None]:
        reporting = asyncio.ensure_future(self._report())
        try:
            yield
        finally:
            reporting.cancel()
            await asyncio.wait([reporting])

    async def _report(self) -> None:
        while True:
            await self._tell()
            await asyncio.sleep(_INTERVAL)

    async def _tell(self, failed: str | None = None) -> None:
        unwell = failed
        if self._built.is_set() and failed is None:
            try:
                await self._store.processor.ready()
            except ResultStoreError as error:
                unwell = str(error)
        report = Report(built=self._built.is_set(), unwell=unwell, failed=failed, counts=self._metrics.take())
        await asyncio.to_thread(self._write, report.to_line())

    def _write(self, line: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more; the end of standard input says the same
            self._told.write(line)
            self._told.flush()


async def _end_of_input() -> None:
    """Wait until whoever started this process has nothing more to say, or is dead."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        await reader.read()
    finally:
        transport.close()


if __name__ == "__main__":
    sys.exit(main())

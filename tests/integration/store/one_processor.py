"""A processor as a process of its own, which can be killed.

Its processes are forked from one that has the imports behind it: of ten that are started and killed, most of the time would go
into those.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from result_store.archive import Archive
from result_store.database.database import ResultDatabase
from result_store.processor import Processor
from result_store.settings import StoreSettings
from workflow_events import KafkaSettings

__all__ = ["OneProcessor"]

_CONTEXT = multiprocessing.get_context("forkserver")


class OneProcessor:
    """A process that stores what is on the topics, as a context manager.

    Args:
        environment: all its settings.
        log: what it says goes there.
    """

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._arguments = (dict(environment), str(log))
        self._log = log
        _CONTEXT.set_forkserver_preload([__name__])
        self._process = self._new()

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()

    def check(self) -> None:
        """Fail where it has ended by itself."""
        assert self._process.is_alive(), self._log.read_text()[-4000:]

    def kill_and_start(self) -> None:
        """End it with SIGKILL, and start another at once."""
        self._process.kill()
        self._process.join()
        assert self._process.exitcode == -signal.SIGKILL
        self._process = self._new()
        self._process.start()

    def stop(self) -> int | None:
        """Have it end in good order; its exit code."""
        self._process.terminate()
        self._process.join()
        return self._process.exitcode

    def _new(self) -> multiprocessing.context.ForkServerProcess:
        return _CONTEXT.Process(target=_process, args=self._arguments, daemon=True)


def _process(environment: dict[str, str], log: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with Path(log).open("ab") as said:
        os.dup2(said.fileno(), sys.stdout.fileno())
        os.dup2(said.fileno(), sys.stderr.fileno())
    threading.Thread(target=_end_with_the_test, daemon=True).start()
    asyncio.run(_work())


def _end_with_the_test() -> None:
    test = multiprocessing.parent_process()
    if test is not None:
        test.join()
        os._exit(1)


async def _work() -> None:
    settings = StoreSettings()
    database = ResultDatabase(settings)
    await database.start()
    processor = Processor(KafkaSettings(), settings, database, archive=Archive(settings))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, processor.stop)
    try:
        await processor.run()
    finally:
        await database.close()

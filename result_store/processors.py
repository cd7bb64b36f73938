"""Several processors of one group, each in a process of its own, and this one watches over them.

One processor is a Python process and so uses one core. The group shares the partitions out among as many as there are; what
counts, and who owns what, is as if each had been started by itself.

One that dies (killed, out of memory) is started again; one that ends with an error ends them all, as it would have ended
``result-store run`` by itself. Where this process dies, they stop in good order.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import sys
import time
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from result_store.errors import ResultStoreError
from result_store.telling import Report

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

    from tenacity import RetryCallState

    from result_store.metrics import StoreMetrics
    from result_store.settings import StoreSettings
    from workflow_events.settings import KafkaSettings

__all__ = ["Processors"]

log = logging.getLogger(__name__)

_MODULE: Final = "result_store.processor_process"
_LONGEST_REPORT: Final = 1 << 20
"""Bytes. A report has a second's counts in it."""
_FIRST_WINDOW: Final = 1.0  # seconds
_LONGEST_WAIT: Final = 30.0
_SILENCE: Final = 15.0
"""Seconds without a report, of which there is one each second, after which a processor is not well."""


class Processors:
    """As many processors as the settings say, in place of one :class:`~result_store.processor.Processor`.

    Args:
        kafka: where Kafka is and what the topics are called.
        settings: how many, and all that each of them is to know.
        metrics: count what all of them do.
    """

    def __init__(self, kafka: KafkaSettings, settings: StoreSettings, metrics: StoreMetrics) -> None:
        self.kafka = kafka
        self.settings = settings
        self._metrics = metrics
        self._stopping = asyncio.Event()
        self._members = [_Member(number + 1, settings.processors) for number in range(settings.processors)]

    @property
    def process_ids(self) -> list[int]:
        """Of the processes that run now."""
        return [one.process.pid for one in self._members if one.process is not None]

    def stop(self) -> None:
        """Have all of them read no more; :meth:`run` returns once what they have in hand is stored and committed."""
        self._stopping.set()
        for member in self._members:
            member.ask_to_stop()

    async def ready(self) -> None:
        """Whether all are at work.

        Raises:
            ResultStoreError: one is not; the message says which and why.
        """
        now = time.monotonic()
        unwell = [f"{member}: {why}" for member in self._members if (why := member.unwell(now)) is not None]
        if unwell:
            raise ResultStoreError(f"Of {len(self._members)} processors {len(unwell)} not at work. {' '.join(unwell)}")

    async def run(self) -> None:
        """Store until :meth:`stop` is called.

        Raises:
            ResultStoreError: one of them has failed for good; the others have stopped in good order.
        """
        tasks = [asyncio.ensure_future(self._keep(member)) for member in self._members]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            self.stop()
            await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        # All are asked, for an error that nobody asks for is logged as forgotten.
        for error in [error for task in tasks if (error := task.exception()) is not None]:
            raise error
        log.info("Processors stopped")

    async def _keep(self, member: _Member) -> None:
        """Have one at work until all are to stop."""
        while not self._stopping.is_set():
            # Each row of tries begins anew once it was at work.
            await AsyncRetrying(
                retry=retry_if_exception_type(_DiedEarlyError),
                wait=wait_random_exponential(multiplier=_FIRST_WINDOW, max=_LONGEST_WAIT),
                sleep=self._pause,
                before_sleep=_say_when,
            )(self._live, member)

    async def _live(self, member: _Member) -> None:
        """One process, from its start to its end.

        Raises:
            _DiedEarlyError: it has died before it was at work.
            ResultStoreError: it has failed for good.
        """
        if self._stopping.is_set():
            return
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", _MODULE, str(member), stdin=PIPE, stdout=PIPE, limit=_LONGEST_REPORT
        )
        member.begin(process)
        try:
            await self._see_through(member, process)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            for partition in member.end():
                self._metrics.gone(*partition)
        self._judge(member, process.returncode)

    async def _see_through(self, member: _Member, process: Process) -> None:
        stdin, stdout = cast("StreamWriter", process.stdin), cast("StreamReader", process.stdout)
        alone = self.settings.model_copy(update={"processors": 1})
        stdin.write(pickle.dumps((self.kafka, alone)))
        with suppress(ConnectionError):  # it has died already
            await stdin.drain()
        if self._stopping.is_set():
            member.ask_to_stop()
        async for line in stdout:
            report = Report.of_line(line)
            report.counts.count_into(self._metrics)
            member.hear(report)
        await process.wait()

    def _judge(self, member: _Member, code: int | None) -> None:
        """What follows from the end of a process."""
        last = member.last
        if last is not None and last.failed is not None and (last.built or member.lives == 1):
            raise ResultStoreError(f"{member} has ended with an error: {last.failed}")
        if self._stopping.is_set():
            if code != 0:
                log.warning("%s has died (exit code %s); what it had not committed will be read again", member, code)
            return
        self._metrics.restarted()
        why = last.failed if last is not None and last.failed is not None else f"it has died (exit code {code})"
        if last is None or not last.built:
            raise _DiedEarlyError(f"{member} is not at work: {why}")
        log.warning("%s: %s; it is started again, and what it had not committed is read again", member, why)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


class _DiedEarlyError(Exception):
    """A process has died before it was at work."""


class _Member:
    """What is known of one of them.

    Attributes:
        process: None while there is none.
        lives: how many processes it has had.
        last: what was last heard of the process that there is, or that there was.
    """

    def __init__(self, number: int, of: int) -> None:
        self.process: Process | None = None
        self.lives = 0
        self.last: Report | None = None
        self._name = f"Processor {number} of {of}"
        self._heard_at = 0.0
        self._partitions: set[tuple[str, int]] = set()

    def __str__(self) -> str:
        return self._name

    def begin(self, process: Process) -> None:
        self.process, self.last = process, None
        self.lives += 1
        log.info("%s has process id %d", self, process.pid)

    def hear(self, report: Report) -> None:
        self.last, self._heard_at = report, time.monotonic()
        for topic, partition, messages in report.counts.lag:
            (self._partitions.discard if messages is None else self._partitions.add)((topic, partition))

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()

    def end(self) -> set[tuple[str, int]]:
        """Its process is no more; the partitions that it had."""
        self.process = None
        had, self._partitions = self._partitions, set()
        return had

    def unwell(self, now: float) -> str | None:
        """Why it is not at work; None where it is."""
        if self.process is None:
            return "it has died, and is started again." if self.lives else "it has not been started yet."
        if self.last is None:
            return "it is starting."
        if now - self._heard_at > _SILENCE:
            return f"its process {self.process.pid} has said nothing for {now - self._heard_at:.0f} s."
        return self.last.unwell


def _say_when(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("%s; it is started again in %.1f s", error, state.upcoming_sleep)

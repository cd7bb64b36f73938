"""One session of measuring: brokers are started, suites run on them, and what they say is entered at once."""

from __future__ import annotations

import asyncio
import time
import traceback
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks import surroundings
from benchmarks.measuring import Figure, watching
from benchmarks.results import Results
from benchmarks.suites import measure_of
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.embedded import EmbeddedBroker
from workflow_events.testing.new_topics import settings_with_new_topics
from workflow_events.testing.unavailable import PartUnavailableError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["BROKERS", "Session"]

BROKERS = ("apache", "embedded")

_PARTITIONS = 6
_JVM_OPTIONS = (
    *("-Xms1g", "-Xmx1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"),
    *("-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"),
)
"""Those of Apache Kafka's own start script; the tests' options make it quick to start and slow to serve."""


class Session:
    """Measures suites on brokers, and enters them in a file suite by suite.

    A suite that fails is told of, and the others go on. So are brokers and suites whose parts cannot be had here.

    Args:
        output: the file; what it holds of other suites and brokers stays.

    Attributes:
        measured: the figures of this session.
        failed: the suites that did not come to their end, in words.
    """

    def __init__(self, output: Path, console: Console, *, runs: int, scale: float) -> None:
        self.measured: list[Figure] = []
        self.failed: list[str] = []
        self._output = output
        self._console = console
        self._runs = runs
        self._scale = scale
        self._results = Results.load(output)
        self._about: dict[str, Any] = {}

    def measure(self, brokers: Sequence[str], suites: Sequence[str]) -> None:
        """Run the suites on one broker after the other."""
        self._about = {
            "date": surroundings.now(),
            "commit": surroundings.commit(),
            "machine": surroundings.machine(),
            "versions": surroundings.versions(brokers, suites),
            "runs": self._runs,
            "scale": self._scale,
        }
        name = f"{self._about['date']} {uuid.uuid4().hex[:4]}"
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            for broker in brokers:
                try:
                    server = _server(broker)
                except PartUnavailableError as missing:
                    self._console.print(f"Nothing is measured on {broker}: {missing}", style="yellow", markup=False)
                    continue
                with server:
                    for suite in suites:
                        figures = self._figures(progress, suite, broker, server.bootstrap_servers)
                        self.measured += figures
                        if figures:
                            # At once, so that what ends a later suite loses nothing.
                            self._results.put(suite, broker, name, self._about, figures)
                            self._results.save(self._output)

    def _figures(self, progress: Progress, suite: str, broker: str, bootstrap_servers: str) -> list[Figure]:
        task = progress.add_task(f"{suite} on {broker}", total=None)

        def watch(what: str, done: int, of: int) -> None:
            progress.update(task, description=f"{suite} on {broker}: {what}", completed=done, total=of)

        figures: list[Figure] = []
        began = time.monotonic()
        self._console.print(f"[bold]{suite}[/bold] on {broker}")
        try:
            with watching(watch):
                asyncio.run(self._collect(suite, broker, bootstrap_servers, figures))
        except PartUnavailableError as missing:
            self._console.print(f"  left out: {missing}", style="yellow", markup=False)
        except Exception:  # noqa: BLE001 - whatever it is, it is not to take the other suites' figures along
            self._console.print(traceback.format_exc(), markup=False)
            self.failed.append(f"{suite} on {broker}")
        finally:
            progress.remove_task(task)
        self._console.print(f"  [dim]took {time.monotonic() - began:.0f} s[/dim]")
        return figures

    async def _collect(self, suite: str, broker: str, bootstrap_servers: str, figures: list[Figure]) -> None:
        settings = settings_with_new_topics(bootstrap_servers, topic_partitions=_PARTITIONS)
        async for figure in measure_of(suite)(settings, broker, self._runs, self._scale):
            figures.append(figure)
            if figure.point is None:
                verdict = {True: "holds", False: "misses", None: ""}[figure.holds]
                said = f"  {figure.name}, against {figure.baseline_name}: {figure.ratio:.3g} {figure.target} {verdict}"
                self._console.print(said.rstrip(), markup=False)


def _server(broker: str) -> ApacheKafka | EmbeddedBroker:
    return ApacheKafka(jvm_options=_JVM_OPTIONS) if broker == "apache" else EmbeddedBroker()

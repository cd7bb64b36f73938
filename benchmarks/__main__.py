"""``python -m benchmarks``: measure, print one table, write it down.

``python -m benchmarks report`` brings the documentation's tables and pictures up to date.
"""

from __future__ import annotations

import asyncio
import time
import traceback
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from typer.core import TyperGroup

from benchmarks import surroundings
from benchmarks.measuring import Figure, watching
from benchmarks.report import render
from benchmarks.results import Results
from benchmarks.suites import SUITE, Measure, measure_of
from benchmarks.tables import in_terminal, sheets
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.embedded import EmbeddedBroker
from workflow_events.testing.new_topics import settings_with_new_topics

if TYPE_CHECKING:
    from workflow_events import KafkaSettings

_BROKERS = ("apache", "embedded")
_PARTITIONS = 6
_JVM_OPTIONS = (
    *("-Xms1g", "-Xmx1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"),
    *("-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"),
)
"""Those of Apache Kafka's own start script; the tests' options make it quick to start and slow to serve."""
_WIDTH_OF_A_FILE = 180
_DOCS = Path(__file__).parents[1] / "docs"


class _RunByDefault(TyperGroup):
    """Takes options without a command as those of ``run``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_RunByDefault, add_completion=False, help="Measure the SDK against named baselines.")


@app.command()
def run(
    only: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(SUITE)}; may be given again.")] = None,
    broker: Annotated[list[str] | None, typer.Option(help="embedded or apache; both where left out.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="Counted runs of each side.")] = 5,
    scale: Annotated[float, typer.Option(help="A factor on the sizes; the promised ones are those of 1.")] = 1.0,
    output: Annotated[
        Path, typer.Option(help="Where the figures are written; what is there of other suites and brokers stays.")
    ] = Path("reports/benchmarks.json"),
) -> None:
    """Measure the SDK against named baselines, side by side on real brokers (the default command)."""
    suites, brokers = _known(only, SUITE, "suite"), _known(broker, _BROKERS, "broker")
    # Where nobody looks there is no width; a file takes wide tables.
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_FILE
    about = {
        "date": surroundings.now(),
        "commit": surroundings.commit(),
        "machine": surroundings.machine(),
        "versions": surroundings.versions(brokers, suites),
        "runs": runs,
        "scale": scale,
    }
    session = f"{about['date']} {uuid.uuid4().hex[:4]}"
    results, measured, failed = Results.load(output), list[Figure](), list[str]()
    with ExitStack() as stack:
        progress = stack.enter_context(_progress(console))
        for name in brokers:
            with _broker(name) as server:
                for suite in suites:
                    settings = settings_with_new_topics(server.bootstrap_servers, topic_partitions=_PARTITIONS)
                    figures, sound = _measure(progress, suite, settings, name, runs, scale)
                    if not sound:
                        failed.append(f"{suite} on {name}")
                    if figures:
                        measured += figures
                        # At once, so that what ends a later suite loses nothing.
                        results.put(suite, name, session, about, figures)
                        results.save(output)
    for sheet in sheets(measured):
        console.print(in_terminal(sheet))
    if measured:
        console.print(f"Written to {output}.")
    if failed:
        console.print(f"[red]Failed: {', '.join(failed)}[/red]")
        raise typer.Exit(1)


@app.command()
def report(
    take: Annotated[
        list[Path] | None, typer.Option(help="First enter these figures in the committed ones; may be given again.")
    ] = None,
    docs: Annotated[Path, typer.Option(help="The folder with benchmarks.md and benchmarks/results.json.")] = _DOCS,
) -> None:
    """Render the committed figures into the documentation: tables and pictures."""
    from benchmarks.pictures import draw_all  # noqa: PLC0415 - needs matplotlib, and measuring does not

    committed = docs / "benchmarks" / "results.json"
    results = Results.load(committed)
    for path in take or ():
        results.take(Results.load(path))
    if take:
        results.save(committed)
    page = docs / "benchmarks.md"
    page.write_text(render(page.read_text(encoding="utf-8"), results), encoding="utf-8")
    for written in (page, *draw_all(results, committed.parent)):
        typer.echo(f"Written: {written}")


def _known(chosen: list[str] | None, known: tuple[str, ...], what: str) -> tuple[str, ...]:
    for name in chosen or ():
        if name not in known:
            raise typer.BadParameter(f"no {what} is called {name!r}; there are {', '.join(known)}")
    return tuple(chosen or known)


def _broker(name: str) -> ApacheKafka | EmbeddedBroker:
    return ApacheKafka(jvm_options=_JVM_OPTIONS) if name == "apache" else EmbeddedBroker()


def _progress(console: Console) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def _measure(
    progress: Progress, suite: str, settings: KafkaSettings, broker: str, runs: int, scale: float
) -> tuple[list[Figure], bool]:
    """The figures of a suite, and whether it came to its end. One that fails is told, and others go on."""
    task = progress.add_task(f"{suite} on {broker}", total=None)

    def watch(what: str, done: int, of: int) -> None:
        progress.update(task, description=f"{suite} on {broker}: {what}", completed=done, total=of)

    figures: list[Figure] = []
    began = time.monotonic()
    progress.console.print(f"[bold]{suite}[/bold] on {broker}")
    try:
        with watching(watch):
            asyncio.run(_collect(measure_of(suite), settings, broker, runs, scale, figures, progress.console))
    except Exception:  # noqa: BLE001 - whatever it is, it is not to take the other suites' figures along
        progress.console.print(traceback.format_exc(), markup=False)
        return figures, False
    finally:
        progress.remove_task(task)
        progress.console.print(f"  [dim]took {time.monotonic() - began:.0f} s[/dim]")
    return figures, True


async def _collect(
    measure: Measure,
    settings: KafkaSettings,
    broker: str,
    runs: int,
    scale: float,
    figures: list[Figure],
    console: Console,
) -> None:
    async for figure in measure(settings, broker, runs, scale):
        figures.append(figure)
        if figure.point is None:
            verdict = {True: "holds", False: "misses", None: ""}[figure.holds]
            console.print(f"  {figure.name}: {figure.ratio:.3g} {figure.target and f'({figure.target})'} {verdict}")


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")

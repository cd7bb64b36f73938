"""``python -m benchmarks``: measure, print one table, write it down.

``python -m benchmarks report`` brings the documentation's tables and pictures up to date.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from benchmarks.report import render
from benchmarks.results import Results
from benchmarks.session import BROKERS, Session
from benchmarks.suites import SUITE
from benchmarks.tables import in_terminal, sheets

_DOCS = Path(__file__).parents[1] / "docs"
_WIDTH_OF_A_FILE = 180


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
    console = Console()
    if not console.is_terminal:
        # Where nobody looks there is no width; a file takes wide tables.
        console.width = _WIDTH_OF_A_FILE
    brokers, suites = _known(broker, BROKERS, "broker"), _known(only, SUITE, "suite")
    try:
        session = Session(output, console, runs=runs, scale=scale)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    session.measure(brokers, suites)
    for sheet in sheets(session.measured):
        console.print(in_terminal(sheet))
    if session.measured:
        console.print(f"Written to {output}.")
    if session.failed:
        console.print(f"[red]Failed: {', '.join(session.failed)}[/red]")
    if session.failed or not session.measured:
        raise typer.Exit(1)


@app.command()
def report(
    take: Annotated[
        list[Path] | None,
        typer.Option(exists=True, help="First enter these figures in the committed ones; may be given again."),
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


if __name__ == "__main__":
    app(prog_name="python -m benchmarks")

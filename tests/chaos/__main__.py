"""``python -m tests.chaos``: run sessions and drills, print what came of them, write it down."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tests.chaos.cancel_drill import run_cancel_drill
from tests.chaos.clock_drill import run_clock_drill
from tests.chaos.drill_report import cancel_table, clock_table, drills_in_documentation, provider_table
from tests.chaos.provider_drill import run_provider_drill
from tests.chaos.report import in_documentation, ledger_table, schedule_table, write_json
from tests.chaos.schedule import LONG, SHORT, WITH_AIRFLOW, Extent
from tests.chaos.session import Outcome, run_session

_PAGE = Path(__file__).parents[2] / "docs" / "chaos.md"
_WIDTH_OF_A_FILE = 180


class Drill(StrEnum):
    """One thing that is done many times and measured."""

    CANCEL = "cancel"
    PROVIDER = "provider"
    CLOCKS = "clocks"


def main(
    seed: Annotated[list[int] | None, typer.Option(help="May be given again; 1, 2 and 3 where left out.")] = None,
    drill: Annotated[list[Drill] | None, typer.Option(help="Run this drill alone; may be given again.")] = None,
    short: Annotated[bool, typer.Option(help="200 requests, as in CI.")] = False,  # noqa: FBT002 - typer's way
    airflow: Annotated[bool, typer.Option(help="Have a real Airflow ask some of it, and kill that too.")] = True,  # noqa: FBT002
    timeout: Annotated[float, typer.Option(help="Seconds that one session may take.")] = 1_800.0,
    output: Annotated[Path, typer.Option(help="Where schedules and ledgers are written.")] = Path("reports/chaos.json"),
    logs: Annotated[Path | None, typer.Option(help="Where logs and ledgers stay; a temporary folder.")] = None,
    docs: Annotated[bool, typer.Option(help="Write the tables into docs/chaos.md.")] = False,  # noqa: FBT002
) -> None:
    """Kill real processes on a schedule that follows from a seed, and count what becomes of the requests; then the drills.

    The drills are left out where seeds are chosen, where it is to be short, and without Airflow.
    """
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_FILE
    folder = logs or Path(tempfile.mkdtemp(prefix="workflow-events-chaos-"))
    holds = True
    if not drill:
        extent = SHORT if short else (WITH_AIRFLOW if airflow else LONG)
        holds = _sessions(console, seed or [1, 2, 3], extent, folder, timeout, output)
        if docs:
            sessions = json.loads(output.read_text(encoding="utf-8"))
            _PAGE.write_text(in_documentation(_PAGE.read_text(encoding="utf-8"), sessions), encoding="utf-8")
        drill = list(Drill) if airflow and not seed and not short else []
    for one in drill:
        console.print(f"[bold]Drill: {one}[/bold]; logs in {folder / one}")
        folder.joinpath(one).mkdir(parents=True)
        held, rows = _drill(console, one, folder / one)
        holds = holds and held
        if docs:
            page = drills_in_documentation(_PAGE.read_text(encoding="utf-8"), {one: rows})
            _PAGE.write_text(page, encoding="utf-8")
    if not holds:
        raise typer.Exit(1)


def _sessions(
    console: Console, seeds: Sequence[int], extent: Extent, folder: Path, timeout: float, output: Path
) -> bool:
    outcomes: list[Outcome] = []
    for one in seeds:
        console.print(f"[bold]Seed {one}[/bold]; logs in {folder / str(one)}")
        folder.joinpath(str(one)).mkdir(parents=True)
        outcomes.append(
            run_session(
                one,
                extent,
                folder / str(one),
                timeout=timeout,
                say=lambda it: console.print(f"  {it}"),
            )
        )
        console.print(schedule_table(outcomes[-1]))
        console.print(ledger_table(outcomes[-1:]))
        write_json(outcomes, output)
    console.print(ledger_table(outcomes))
    return all(one.holds for one in outcomes)


def _drill(console: Console, drill: Drill, folder: Path) -> tuple[bool, list[dict[str, Any]]]:
    """Whether it held, and a row for each part of it."""

    def say(it: str) -> None:
        console.print(f"  {it}", markup=False)

    if drill is Drill.CANCEL:
        stops = run_cancel_drill(folder, say=say)
        console.print(cancel_table(stops.to_json()), markup=False)
        return stops.holds, stops.to_json()
    if drill is Drill.CLOCKS:
        waits = run_clock_drill(folder, say=say)
        console.print(clock_table(waits.to_json()), markup=False)
        return waits.holds, waits.to_json()
    runs = run_provider_drill(say=say)
    rows = [one.to_json() for one in runs]
    console.print(provider_table(rows), markup=False)
    return all(one.holds for one in runs), rows


if __name__ == "__main__":
    typer.run(main)

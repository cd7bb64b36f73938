"""``python -m tests.chaos``: run sessions, print their schedules and their ledger, write both down."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.chaos.report import in_documentation, ledger_table, schedule_table, write_json
from tests.chaos.schedule import LONG, SHORT, WITH_AIRFLOW
from tests.chaos.session import Outcome, run_session

_PAGE = Path(__file__).parents[2] / "docs" / "chaos.md"
_WIDTH_OF_A_FILE = 180


def main(
    seed: Annotated[list[int] | None, typer.Option(help="May be given again; 1, 2 and 3 where left out.")] = None,
    short: Annotated[bool, typer.Option(help="200 requests, as in CI.")] = False,  # noqa: FBT002 - typer's way
    airflow: Annotated[bool, typer.Option(help="Have a real Airflow ask some of it, and kill that too.")] = True,  # noqa: FBT002
    timeout: Annotated[float, typer.Option(help="Seconds that one session may take.")] = 1_800.0,
    output: Annotated[Path, typer.Option(help="Where schedules and ledgers are written.")] = Path("reports/chaos.json"),
    logs: Annotated[Path | None, typer.Option(help="Where logs and ledgers stay; a temporary folder.")] = None,
    docs: Annotated[bool, typer.Option(help="Write the table into docs/chaos.md.")] = False,  # noqa: FBT002
) -> None:
    """Kill real processes on a schedule that follows from a seed, and count what becomes of the requests."""
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_FILE
    folder = logs or Path(tempfile.mkdtemp(prefix="workflow-events-chaos-"))
    extent = SHORT if short else (WITH_AIRFLOW if airflow else LONG)
    outcomes: list[Outcome] = []
    for one in seed or [1, 2, 3]:
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
    if docs:
        sessions = json.loads(output.read_text(encoding="utf-8"))
        _PAGE.write_text(in_documentation(_PAGE.read_text(encoding="utf-8"), sessions), encoding="utf-8")
    if not all(one.holds for one in outcomes):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

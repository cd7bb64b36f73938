"""``python -m demo``: what ``make demo`` calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from demo.narration import new_console
from demo.run import Plan, run_demo


def main(
    chunks: Annotated[int, typer.Option(min=1, max=200, help="Requests to cut the work into.")] = 8,
    reports: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("reports"),
    timeout: Annotated[float, typer.Option(min=10, help="Seconds that the DAG run may take.")] = 240.0,
    *,
    store: Annotated[
        bool, typer.Option("--store", help="Run a result store beside it, and print the address of its page.")
    ] = False,
    hold: Annotated[
        bool | None,
        typer.Option(
            help="Keep that page open after the run, until Ctrl-C. Default: on a terminal.", show_default=False
        ),
    ] = None,
) -> None:
    """Audit every installed Python distribution: a real Airflow DAG asks a real LangGraph worker, over an embedded broker."""
    console = new_console()
    if hold is None:
        hold = console.is_terminal
    raise typer.Exit(run_demo(console, Plan(chunks, reports, timeout, store, hold)))


if __name__ == "__main__":
    typer.run(main)

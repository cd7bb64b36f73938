"""``python -m demo``: what ``make demo`` calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from demo.narration import new_console
from demo.run import run_demo


def main(
    chunks: Annotated[int, typer.Option(min=1, max=200, help="Requests to cut the work into.")] = 8,
    reports: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("reports"),
    timeout: Annotated[float, typer.Option(min=10, help="Seconds that the DAG run may take.")] = 240.0,
) -> None:
    """Audit every installed Python distribution: a real Airflow DAG asks a real LangGraph worker, over an embedded broker."""
    raise typer.Exit(run_demo(new_console(), chunks=chunks, folder=reports, timeout=timeout))


if __name__ == "__main__":
    typer.run(main)

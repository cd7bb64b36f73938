"""How a run stands, as one line for a log and as a small table for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.observation import RunHistory

_STYLES = {"waiting": "", "running": "blue", "deferred": "green", "done": "bold green", "failed": "red"}


def counts(states: Sequence[str]) -> dict[str, int]:
    """How many task instances wait for Airflow, run, are deferred, are done, have failed."""
    known = {"running": "running", "deferred": "deferred", "done": "success", "failed": "failed"}
    found = {name: sum(state == value for state in states) for name, value in known.items()}
    return {"waiting": len(states) - sum(found.values()), **found}


def counted(requests: int, results: int) -> str:
    """``1 request, 0 results``."""
    return f"{requests} request{'' if requests == 1 else 's'}, {results} result{'' if results == 1 else 's'}"


def as_line(history: RunHistory, tasks: Sequence[str], *, requests: int, results: int) -> str:
    """The run as one line; what is nought is left out."""
    shown = []
    for task_id in tasks:
        present = [f"{count} {name}" for name, count in counts(history.states(task_id)).items() if count]
        if present:
            shown.append(f"{task_id}: {', '.join(present)}")
    return " | ".join([*shown, f"Kafka: {counted(requests, results)}"])


def as_table(history: RunHistory, tasks: Sequence[str], *, requests: int, results: int) -> Table:
    """The run as a table, a line for each task."""
    table = Table(box=None, padding=(0, 2), show_edge=False)
    table.add_column("task")
    for name, style in _STYLES.items():
        table.add_column(name, justify="right", style=style)
    for task_id in tasks:
        table.add_row(task_id, *(str(count or "") for count in counts(history.states(task_id)).values()))
    table.caption = f"On Kafka: {counted(requests, results)}"
    table.caption_justify = "left"
    return table

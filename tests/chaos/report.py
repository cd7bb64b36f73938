"""What a session is shown as: a table at the terminal, JSON in a file, a table in the documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.chaos.session import Outcome

__all__ = ["between", "in_documentation", "ledger_table", "markdown_table", "schedule_table", "write_json"]

_SUMS = {
    "asked": "requests",
    "right": "right",
    "lost": "lost",
    "wrong": "wrong",
    "double": "double",
    "ran_again": "finished nodes run again",
    "ran_at_once": "nodes run in two workers at once",
    "executions": "node executions",
    "unstored": "ended, not stored",
    "repeated": "results published again",
}


def schedule_table(outcome: Outcome) -> Table:
    """What came, to whom and when."""
    table = Table(title=f"Seed {outcome.seed}: what went wrong", title_justify="left")
    for name in ("from, s", "to, s", "after answers", "what", "whom"):
        table.add_column(name, justify="left" if name in {"what", "whom"} else "right")
    for one in outcome.befallen:
        where = (f"{one.began:.1f}", f"{one.ended:.1f}", str(one.disaster.at))
        table.add_row(*where, one.disaster.kind.value, one.what)
    return table


def ledger_table(outcomes: Iterable[Outcome]) -> Table:
    """The sums, a row for each seed."""
    table = Table(title="The ledger", title_justify="left")
    for name in ("seed", "disasters", *_SUMS.values(), "took, s", "holds"):
        table.add_column(name, justify="right")
    for one in outcomes:
        table.add_row(*_row(one.to_json()), "yes" if one.holds else "[red]no[/red]")
    return table


def write_json(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write schedules and sums down."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([one.to_json() for one in outcomes], indent=1) + "\n", encoding="utf-8")


def in_documentation(page: str, sessions: Sequence[dict[str, Any]]) -> str:
    """The page with the table between its markers made anew, out of what `write_json` wrote."""
    parts = [markdown_table(("seed", "disasters", *_SUMS.values(), "took, s"), map(_row, sessions))]
    for one in sessions:
        schedule = [
            (f"{came['began']:.1f}", f"{came['ended']:.1f}", came["kind"], came["what"]) for came in one["schedule"]
        ]
        table = markdown_table(("from, s", "to, s", "what", "whom"), schedule, texts={"what", "whom"})
        parts += [f"Seed {one['seed']}:", table]
    return between(page, "chaos", "\n\n".join(parts))


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, texts: Collection[str] = ()) -> str:
    """A table in Markdown.

    Args:
        texts: the heads of the columns that stand on the left; the others hold numbers.
    """
    lines = [f"| {' | '.join(heads)} |", f"|{''.join('---|' if head in texts else '---:|' for head in heads)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def between(page: str, name: str, text: str) -> str:
    """The page with ``text`` in place of what stands between ``<!-- name -->`` and ``<!-- end of name -->``."""
    block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", flags=re.DOTALL)
    return block.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page)


def _row(session: dict[str, Any]) -> list[str]:
    sums = [f"{session['ledger'][name]:,}" for name in _SUMS]
    return [str(session["seed"]), str(len(session["schedule"])), *sums, f"{session['took_seconds']:.0f}"]

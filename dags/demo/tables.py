"""What ``make demo`` prints at its end: the verdicts, the risky ones, and where the time went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from demo.timings import bar
from demo.verdict import Decision

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from demo.report import AuditReport
    from demo.timings import NamedSpan, RequestTimes, Stage

_STYLES = {Decision.OK: "green", Decision.REVIEW: "yellow", Decision.REJECT: "bold red"}
_BARS = {".": (" ", ""), "w": ("·", "dim"), "s": ("█", "blue"), "d": ("─", "green"), "g": ("◆", "bold green")}
_BARS_IN_ASCII = {".": " ", "w": ".", "s": "#", "d": "-", "g": "*"}


def summary(report: AuditReport) -> Table:
    """Distributions by licence category and verdict."""
    table = Table(
        box=SIMPLE_HEAD, pad_edge=False, title="Verdicts by licence", title_justify="left", title_style="bold"
    )
    table.add_column("Licence category")
    for decision in Decision:
        table.add_column(decision.value, justify="right", style=_STYLES[decision])
    table.add_column("all", justify="right", style="bold")
    for category, count in report.categories.items():
        of_category = [verdict for verdict in report.verdicts if verdict.category is category]
        cells = [str(sum(verdict.decision is decision for verdict in of_category) or "") for decision in Decision]
        table.add_row(category.value, *cells, str(count))
    table.add_section()
    table.add_row("all", *(str(count) for count in report.decisions.values()), str(len(report.verdicts)), style="bold")
    return table


def risky(report: AuditReport) -> Table:
    """What a person should look at, and why."""
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        title=f"{len(report.risky)} to look at",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("Distribution", ratio=3, overflow="fold")
    table.add_column("Verdict")
    table.add_column("Licence", ratio=2)
    table.add_column("Why", ratio=5)
    for verdict in report.risky:
        table.add_row(
            f"{escape(verdict.name)} [dim]{escape(verdict.version)}[/dim]",
            Text(verdict.decision.value, style=_STYLES[verdict.decision]),
            escape(verdict.licence),
            escape("; ".join(verdict.reasons)),
        )
    return table


def phases(spent: Sequence[tuple[str, float]], total: float) -> Table:
    """The demo's own phases, one after the other."""
    table = Table(
        box=SIMPLE_HEAD, pad_edge=False, title="Where the time went", title_justify="left", title_style="bold"
    )
    table.add_column("Phase")
    table.add_column("Seconds", justify="right", style="cyan")
    for title, seconds in spent:
        table.add_row(escape(title), f"{seconds:.1f}")
    table.add_section()
    table.add_row("all", f"{total:.1f}", style="bold")
    return table


def request_stages(found: Sequence[Stage], requests: int) -> Table:
    """The stages of a request's life, over all requests."""
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        title=f"A request's life, over {requests} requests",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("Stage")
    table.add_column("Mean s", justify="right", style="cyan")
    table.add_column("Longest s", justify="right")
    table.add_column("Worker slot")
    for stage in found:
        table.add_row(stage.title, f"{stage.mean:.2f}", f"{stage.longest:.2f}", "taken" if stage.slot else "free")
    return table


def timeline(
    times: Sequence[RequestTimes],
    others: Sequence[NamedSpan],
    begin: datetime,
    end: datetime,
    *,
    width: int,
    plain: bool,
) -> Text:
    """Each task as a bar over the run's time, ``width`` columns long; ``plain`` for a terminal without Unicode."""
    symbols = _BARS_IN_ASCII if plain else {letter: symbol for letter, (symbol, _) in _BARS.items()}
    audits = [(f"audit {one.map_index}", one) for one in times]
    named: list[tuple[str, NamedSpan | RequestTimes]] = [(span.name, span) for span in others]
    text = Text()
    for name, one in [*named[:1], *audits, *named[1:]]:
        text.append(f"{name:<10} ", style="dim")
        for letter in bar(one, begin, end, width):
            text.append(symbols[letter], style=_BARS[letter][1])
        text.append("\n")
    text.append(
        f"{'':11}{(end - begin).total_seconds():.0f} s: {symbols['w']} waits for Airflow   "
        f"{symbols['s']} holds a worker slot   {symbols['d']} deferred   {symbols['g']} its graph runs",
        style="dim",
    )
    return text

"""Figures as tables, in a terminal and in Markdown, out of the same cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from benchmarks.measuring import Figure


__all__ = ["Sheet", "broker_name", "in_markdown", "in_terminal", "number", "sheets"]

_BROKERS = {"apache": "Apache Kafka", "embedded": "embedded broker"}
_COLUMNS = ("what", "broker", "ours", "baseline", "ratio (min to max)", "target")
_VERDICTS = {True: "holds", False: "**misses**"}


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table before it has a form."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def sheets(figures: Iterable[Figure]) -> list[Sheet]:
    """One table of the figures that stand for themselves, and one for each curve, broker and baseline."""
    given = list(figures)
    alone = [figure for figure in given if figure.point is None]
    found = [Sheet("", _COLUMNS, [_row(figure) for figure in alone])] if alone else []
    curves: dict[tuple[str, str, str], list[Figure]] = {}
    for figure in given:
        if figure.point is not None:
            curves.setdefault((figure.point.curve, figure.broker, figure.baseline_name), []).append(figure)
    return found + [_curve_sheet(*about, members) for about, members in curves.items()]


def in_markdown(sheet: Sheet) -> str:
    """The table in Markdown, under its title."""
    lines = [sheet.columns, ["---"] * len(sheet.columns), *sheet.rows]
    table = "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)
    return f"{sheet.title}\n\n{table}" if sheet.title else table


def in_terminal(sheet: Sheet) -> Table:
    """The table for rich."""
    table = Table(*sheet.columns, title=sheet.title or "Medians; ratio = ours / baseline, round by round")
    for row in sheet.rows:
        table.add_row(*(cell.replace("**misses**", "[red]misses[/red]").replace("**", "") for cell in row))
    return table


def broker_name(broker: str) -> str:
    """What a reader calls it."""
    return _BROKERS.get(broker, broker)


def number(value: float) -> str:
    """A value in four digits, whole from a thousand on."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _cell(text: str) -> str:
    first, *notes = text.replace("|", "\\|").splitlines() or [""]
    return first + "".join(f"<br><small>{note}</small>" for note in notes)


def _row(figure: Figure) -> list[str]:
    return [
        f"{figure.name}\n{figure.note}".strip(),
        broker_name(figure.broker),
        f"{number(median(figure.ours))} {figure.unit}".strip(),
        f"{number(median(figure.baseline))} {figure.unit}".strip() + f" ({figure.baseline_name})",
        _reach(figure),
        figure.target and f"{figure.target}: {_VERDICTS[bool(figure.holds)]}",
    ]


def _reach(figure: Figure) -> str:
    return f"**{_ratio(figure.ratio)}** ({_ratio(min(figure.ratios))} to {_ratio(max(figure.ratios))})"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if 0.1 <= value < 100 else f"{value:.2g}" if value < 0.1 else f"{value:,.0f}"


def _curve_sheet(curve: str, broker: str, baseline: str, members: list[Figure]) -> Sheet:
    cells: dict[float, dict[str, str]] = {}
    measures: dict[str, str] = {}
    for figure in members:
        assert figure.point is not None
        measures[figure.point.measure] = figure.unit
        sides = f"{number(median(figure.ours))} / {number(median(figure.baseline))}"
        cells.setdefault(figure.point.x, {})[figure.point.measure] = f"{sides} = {_reach(figure)}"
    return Sheet(
        f"By {curve}, on {broker_name(broker)}: ours / {baseline} = ratio (min to max).",
        (curve, *(f"{measure}, {unit}" if unit != "count" else measure for measure, unit in measures.items())),
        [[f"{x:,.0f}", *(row.get(measure, "") for measure in measures)] for x, row in sorted(cells.items())],
    )

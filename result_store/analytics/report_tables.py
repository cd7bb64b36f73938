"""The report as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from result_store.analytics.report_words import as_cost, as_count, as_duration, as_share, as_time, printable
from result_store.records import RunState

if TYPE_CHECKING:
    from rich.console import RenderableType

    from result_store.analytics.answers import RunTotals, StatusBucket, StepSummary
    from result_store.analytics.report import Report

__all__ = ["tables"]

_COLOURS: Final = {
    RunState.SUCCESS: "green",
    RunState.FAILURE: "yellow",
    RunState.ERROR: "red",
    RunState.INTERRUPTED: "magenta",
    RunState.CANCELLED: "bright_black",
    RunState.RUNNING: "cyan",
    RunState.ACCEPTED: "blue",
    RunState.PENDING: "white",
}
_BAR: Final = 32
"""Characters of the longest bar."""


def tables(report: Report) -> Iterator[RenderableType]:
    """What is printed, one after the other. Names are shown as they are: markup in them means nothing."""
    about = "" if report.workflow_id is None else f" of {printable(report.workflow_id)}"
    yield Text(f"Requests{about} from {as_time(report.since)} to {as_time(report.until)}")
    if not any(one.total for one in report.statuses) and not report.steps:
        yield Text("There are none: `--since` takes an earlier time, such as 30d.")
        return
    yield _over_time(report)
    if report.steps:
        yield _steps("Steps", report.steps)
        yield _worst("Slowest steps, by their 95th percentile", report.slowest)
        if report.most_failing:
            yield _worst("Most failing steps", report.most_failing)
    else:
        yield Text("No step was told of in this time.")
    if report.runs:
        yield _runs(report.runs)


def _over_time(report: Report) -> Table:
    table = _table("Status and duration over time", "from", right=("requests", "failed", "p50", "p95"), left=("",))
    most = max(one.total for one in report.statuses)
    for status, latency in zip(report.statuses, report.latencies, strict=True):
        table.add_row(
            as_time(status.at, report.bucket),
            as_count(status.total),
            as_share(status.failure_rate),
            as_duration(latency.duration.p50),
            as_duration(latency.duration.p95),
            _bar(status, most),
        )
    table.caption = Text(" ").join(
        Text(f"█ {state.value}", style=colour)
        for state, colour in _COLOURS.items()
        if any(state in one.by_state for one in report.statuses)
    )
    return table


def _bar(status: StatusBucket, most: int) -> Text:
    """A bar whose parts are the states; its length is to the longest as its total is to the greatest."""
    bar, shown, counted = Text(), 0, 0
    for state, colour in _COLOURS.items():
        counted += status.by_state.get(state, 0)
        until = round(_BAR * counted / most) if most else 0
        bar.append("█" * (until - shown), style=colour)
        shown = until
    return bar


def _steps(title: str, steps: Sequence[StepSummary]) -> Table:
    counts = ("runs", "failed", "input", "output", "eliminated", "ratio", "kept", "scored")
    table = _table(title, "workflow", "step", right=(*counts, "p50", "p95", "mean", "tokens", "cost"))
    for step in steps:
        _add(
            table,
            (step.workflow_id, step.name),
            (
                as_count(step.runs),
                as_share(step.failure_rate),
                *map(as_count, (step.input, step.output, step.eliminated)),
                as_share(step.elimination_ratio),
                *map(as_count, (step.kept, step.scored)),
                *map(as_duration, (step.duration.p50, step.duration.p95, step.duration.mean)),
                as_count(step.tokens),
                as_cost(step.cost),
            ),
        )
    return table


def _worst(title: str, steps: Sequence[StepSummary]) -> Table:
    table = _table(title, "workflow", "step", right=("p95", "p50", "failures", "runs", "failed"))
    for step in steps:
        _add(
            table,
            (step.workflow_id, step.name),
            (
                as_duration(step.duration.p95),
                as_duration(step.duration.p50),
                as_count(step.failures),
                as_count(step.runs),
                as_share(step.failure_rate),
            ),
        )
    return table


def _runs(runs: Sequence[RunTotals]) -> Table:
    counts = ("steps", "input", "output", "ratio", "duration", "tokens", "cost")
    table = _table("Last runs", "request", "workflow", "batch", "state", right=counts)
    for run in runs:
        table.add_row(
            Text(str(run.correlation_id), no_wrap=True),
            Text(printable(run.workflow_id)),
            Text(printable(run.workflow_run_id)),
            Text(run.state.value, style=_COLOURS[run.state]),
            *map(as_count, (run.steps, run.input, run.output)),
            as_share(run.elimination_ratio),
            as_duration(run.duration_ms),
            as_count(run.tokens),
            as_cost(run.cost),
        )
    return table


def _table(title: str, *names: str, right: Iterable[str], left: Iterable[str] = ()) -> Table:
    table = Table(*names, title=title, title_justify="left", caption_justify="left")
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    for name in left:
        table.add_column(name, no_wrap=True)
    return table


def _add(table: Table, names: Iterable[str], numbers: Iterable[str]) -> None:
    table.add_row(*(Text(printable(name)) for name in names), *numbers)

"""The report as one HTML file with charts, which needs nothing beside it: plotly's script is in it.

What comes from messages is text: it is escaped in the page, and again in the charts, whose labels take a little markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

import plotly.graph_objects as go
from plotly.io import to_html
from plotly.subplots import make_subplots

from result_store.analytics.report_words import as_cost, as_count, as_duration, as_share, as_time
from result_store.records import RunState

if TYPE_CHECKING:
    from result_store.analytics.answers import StepSummary
    from result_store.analytics.report import Report

__all__ = ["page"]

_COLOURS: Final = {
    RunState.SUCCESS: "#2e9e5b",
    RunState.FAILURE: "#e0a100",
    RunState.ERROR: "#d03b3b",
    RunState.INTERRUPTED: "#9457c9",
    RunState.CANCELLED: "#8a8a8a",
    RunState.RUNNING: "#1f9bb5",
    RunState.ACCEPTED: "#3a6fd8",
    RunState.PENDING: "#c4c9d4",
}
_MOST_BARS: Final = 20
"""The steps with the most input; all are in the table."""
_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 75rem; padding: 0 1rem; color: #1d2430; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #d9dde4; text-align: right; white-space: nowrap; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
"""


def page(report: Report) -> str:
    """The whole file."""
    about = "" if report.workflow_id is None else f" of {escape(report.workflow_id)}"
    charts = [chart for chart in (_statuses(report), _latencies(report), *_steps(report)) if chart is not None]
    drawn = [
        # The script once, in the file: a report may be read where there is no network.
        to_html(
            chart, full_html=False, include_plotlyjs=number == 0, default_height="26rem", config={"displaylogo": False}
        )
        for number, chart in enumerate(charts)
    ]
    parts = "\n".join([*drawn, *_tables(report)])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Requests{about}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Requests{about}</h1>
<p>From {as_time(report.since)} to {as_time(report.until)}.</p>
{parts}
</body>
</html>
"""


def _statuses(report: Report) -> Any:
    chart = make_subplots(specs=[[{"secondary_y": True}]])
    times = [one.at for one in report.statuses]
    for state, colour in _COLOURS.items():
        counts = [one.by_state.get(state, 0) for one in report.statuses]
        if any(counts):
            chart.add_bar(x=times, y=counts, name=state.value, marker_color=colour)
    chart.add_scatter(
        x=times,
        y=[one.failure_rate for one in report.statuses],
        name="failed",
        mode="lines+markers",
        line={"color": "#1d2430", "width": 1.5},
        secondary_y=True,
    )
    chart.update_yaxes(title_text="requests", secondary_y=False)
    chart.update_yaxes(title_text="failed", tickformat=".0%", rangemode="tozero", showgrid=False, secondary_y=True)
    return _titled(chart, "Status over time", barmode="stack")


def _latencies(report: Report) -> Any:
    chart = go.Figure()
    times = [one.at for one in report.latencies]
    for name, of in (("in the graph", "duration"), ("from request to result", "turnaround")):
        for percentile in ("p50", "p95"):
            chart.add_scatter(
                x=times,
                y=[_seconds(getattr(getattr(one, of), percentile)) for one in report.latencies],
                name=f"{name}, {percentile}",
                mode="lines+markers",
            )
    chart.update_yaxes(title_text="seconds", rangemode="tozero")
    return _titled(chart, "Duration over time")


def _steps(report: Report) -> Iterator[Any]:
    if report.slowest:
        yield _bars(
            "Slowest steps, by their 95th percentile", "seconds", report.slowest, _p95s(report.slowest), "#3a6fd8"
        )
    if report.most_failing:
        failures = [step.failures for step in report.most_failing]
        yield _bars("Most failing steps", "runs that broke", report.most_failing, failures, "#d03b3b")
    sifting = [step for step in report.steps if step.elimination_ratio is not None]
    sifting = sorted(sifting, key=lambda step: -(step.input or 0))[:_MOST_BARS]
    if sifting:
        ratios = [step.elimination_ratio for step in sifting]
        chart = _bars("What steps eliminate of their input", "", sifting, ratios, "#2e9e5b")
        chart.update_xaxes(tickformat=".0%")
        yield chart


def _p95s(steps: Iterable[StepSummary]) -> list[float | None]:
    return [_seconds(step.duration.p95) for step in steps]


def _bars(title: str, unit: str, steps: Sequence[StepSummary], values: Sequence[float | None], colour: str) -> Any:
    """One bar for each step, the first on top. Bars are numbered, for two steps may have names that look alike."""
    chart = go.Figure(go.Bar(x=values, y=list(range(len(steps))), orientation="h", marker_color=colour))
    names = [escape(f"{step.name} ({step.workflow_id})") for step in steps]
    chart.update_yaxes(tickvals=list(range(len(steps))), ticktext=names, autorange="reversed", automargin=True)
    chart.update_xaxes(title_text=unit)
    return _titled(chart, title)


def _titled(chart: Any, title: str, **layout: Any) -> Any:
    chart.update_layout(title_text=title, template="plotly_white", legend={"orientation": "h", "y": -0.2}, **layout)
    return chart


def _tables(report: Report) -> Iterator[str]:
    numbers = (
        "runs",
        "failed",
        "input",
        "output",
        "eliminated",
        "ratio",
        "kept",
        "scored",
        "p50",
        "p95",
        "tokens",
        "cost",
    )
    yield _table(
        "Steps",
        ("step", "workflow", *numbers),
        (
            (
                step.name,
                step.workflow_id,
                as_count(step.runs),
                as_share(step.failure_rate),
                *map(as_count, (step.input, step.output, step.eliminated)),
                as_share(step.elimination_ratio),
                *map(as_count, (step.kept, step.scored)),
                *map(as_duration, (step.duration.p50, step.duration.p95)),
                as_count(step.tokens),
                as_cost(step.cost),
            )
            for step in report.steps
        ),
    )
    yield _table(
        "Last runs",
        ("request", "workflow", "batch", "state", "steps", "input", "output", "ratio", "duration", "tokens", "cost"),
        (
            (
                str(run.correlation_id),
                run.workflow_id,
                run.workflow_run_id,
                run.state.value,
                *map(as_count, (run.steps, run.input, run.output)),
                as_share(run.elimination_ratio),
                as_duration(run.duration_ms),
                as_count(run.tokens),
                as_cost(run.cost),
            )
            for run in report.runs
        ),
    )


def _table(title: str, names: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<h2>{escape(title)}</h2>\n<div class="wide"><table>\n<tr>{head}</tr>\n{body}\n</table></div>'


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000

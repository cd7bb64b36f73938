"""How the report looks: numbers in words, and names of strangers as text."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from rich.console import Console

from result_store.analytics.answers import Durations, LatencyBucket, RunTotals, StatusBucket, StepSummary
from result_store.analytics.report import Report
from result_store.analytics.report_page import page
from result_store.analytics.report_tables import tables
from result_store.analytics.report_words import as_cost, as_count, as_duration, as_share
from result_store.records import RunState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOSTILE = "</script><script>alert(1)</script><b>[red]\x1b[2J"


def report(name: str = "score", *, empty: bool = False) -> Report:
    duration = Durations(measured=2, mean=1500.0, p50=1000.0, p95=2000.0)
    step = StepSummary(
        workflow_id=name,
        name=name,
        runs=4,
        failures=1,
        failure_rate=0.25,
        input=1200,
        output=300,
        elimination_ratio=0.75,
        duration=duration,
        cost=0.5,
    )
    run = RunTotals(
        correlation_id=UUID(int=7),
        workflow_id=name,
        workflow_run_id=name,
        state=RunState.ERROR,
        at=NOON,
        steps=3,
        duration_ms=90_000.0,
    )
    counts = {} if empty else {RunState.SUCCESS: 3, RunState.ERROR: 1}
    return Report(
        since=NOON,
        until=NOON + HOUR,
        bucket=HOUR,
        workflow_id=name,
        statuses=[StatusBucket(at=NOON, total=sum(counts.values()), by_state=counts, failure_rate=0.25)],
        latencies=[LatencyBucket(at=NOON, runs=2, duration=duration, turnaround=duration)],
        steps=[] if empty else [step],
        slowest=[] if empty else [step],
        most_failing=[] if empty else [step],
        runs=[] if empty else [run],
    )


def printed(found: Report) -> str:
    output = io.StringIO()
    for one in tables(found):
        Console(file=output, width=200).print(one)
    return output.getvalue()


def test_the_tables_tell_of_steps_and_runs() -> None:
    text = printed(report())
    assert "Requests of score from" in text
    [step] = [line for line in text.splitlines() if "1,200" in line]
    assert [cell.strip() for cell in step.strip("│").split("│")] == [
        *("score", "score", "4", "25.0%", "1,200", "300", "–", "75.0%", "–", "–"),  # noqa: RUF001 - a dash for a number
        *("1 s", "2 s", "1.5 s", "–", "0.5"),  # noqa: RUF001
    ]
    [run] = [line for line in text.splitlines() if str(UUID(int=7)) in line]
    assert [cell.strip() for cell in run.strip("│").split("│")][3:5] == ["error", "3"]


def test_a_time_in_which_nothing_happened_is_said_to_be_one() -> None:
    assert "There are none: `--since` takes an earlier time" in printed(report(empty=True))
    assert "<h2>Steps</h2>" in page(report(empty=True))


def test_a_name_of_a_stranger_is_text_on_the_terminal_and_in_the_page() -> None:
    text = printed(report(HOSTILE))
    assert "\x1b[2J" not in text
    assert "[red]\\x1b[2J" in text
    html = page(report(HOSTILE))
    assert "<script>alert(1)" not in html
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in html


def test_the_page_needs_nothing_beside_it() -> None:
    html = page(report())
    assert html.count("Plotly.newPlot(") == 5
    assert "<script src=" not in html
    assert "<link" not in html


def test_what_is_not_a_number_in_json_is_not_in_the_report() -> None:
    assert json.loads(report().model_dump_json())["steps"][0]["elimination_ratio"] == 0.75


@pytest.mark.parametrize(
    "milliseconds, said",
    [(None, "–"), (0.25, "0.25 ms"), (250.4, "250 ms"), (61_000, "61 s"), (180_000, "3.0 min"), (9e6, "2.5 h")],  # noqa: RUF001
)
def test_a_duration_is_said_in_the_unit_that_suits_it(milliseconds: float | None, said: str) -> None:
    assert as_duration(milliseconds) == said


def test_numbers_are_said_as_people_read_them() -> None:
    assert (as_count(1234567), as_share(-0.5), as_cost(0.00123), as_cost(1234.5)) == (
        "1,234,567",
        "-50.0%",
        "0.00123",
        "1,234.50",
    )

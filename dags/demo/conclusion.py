"""What the demo tells at its end, when everything is stopped: the verdicts, the times, and whether it did its job."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pydantic import ValidationError
from rich.markup import escape

from demo import tables
from demo.failure import shown
from demo.observation import TaskKey
from demo.report import AuditReport, WrittenReport, compare, read_report
from demo.timings import NamedSpan, RequestTimes, slot_seconds, stages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from demo.narration import Narrator
    from demo.observation import RunHistory

_FAILED = 1


class Outcome(NamedTuple):
    """What is kept of a run that went well."""

    run_id: str
    began: datetime
    ended: datetime
    times: Sequence[RequestTimes]
    others: Sequence[NamedSpan]
    """The tasks before and after the mapped one."""

    @classmethod
    def of(
        cls, run: Mapping[str, Any], history: RunHistory, times: Sequence[RequestTimes], *, others: Sequence[str]
    ) -> Self:
        """From the REST API's DAG run and what was seen of its tasks."""
        tasks = [(task_id, task) for task_id in others if (task := history.tasks.get(TaskKey(task_id, -1)))]
        spans = [
            NamedSpan(task_id, task.time("scheduled_when"), task.time("start_date"), task.time("end_date"))
            for task_id, task in tasks
        ]
        began, ended = (datetime.fromisoformat(run[name]) for name in ("start_date", "end_date"))
        return cls(run["dag_run_id"], began, ended, times, spans)


def tell(narrator: Narrator, names: Sequence[str], folder: Path, outcome: Outcome) -> int:
    """Print it all, and return the exit code: 0 if every one of ``names`` got exactly one verdict in this run."""
    console, total = narrator.console, narrator.seconds
    files = WrittenReport(folder / "dependency-audit.html", folder / "dependency-audit.json")
    try:
        report = read_report(files.json)
    except (OSError, ValidationError) as error:
        return _fail(console, f"there is no readable report: {error}")
    if report.run != outcome.run_id:
        return _fail(console, f"the report in {files.json} is not this run's, but {report.run}'s")
    console.print()
    console.print(tables.summary(report))
    console.print(tables.risky(report))
    console.print(tables.phases(narrator.phases, total))
    _tell_times(console, outcome)
    return _judge(console, names, report, files, total)


def _tell_times(console: Console, outcome: Outcome) -> None:
    console.print(tables.request_stages(stages(outcome.times), len(outcome.times)))
    plain = not console.encoding.lower().startswith("utf")
    width = max(20, min(console.width - 14, 90))
    console.print(
        tables.timeline(outcome.times, outcome.others, outcome.began, outcome.ended, width=width, plain=plain)
    )
    held, lived = slot_seconds(outcome.times)
    if lived:
        console.print(
            f"The {len(outcome.times)} asking tasks lived {lived:.0f} s, added up, and held a worker slot for {held:.0f} s "
            f"of that ({100 * held / lived:.0f} %).\n"
        )


def _judge(console: Console, names: Sequence[str], report: AuditReport, files: WrittenReport, total: float) -> int:
    differences = compare(names, (verdict.key for verdict in report.verdicts))
    if any(differences):
        return _fail(console, f"not every distribution got exactly one verdict: {differences}")
    counts = ", ".join(f"{count} {decision}" for decision, count in report.decisions.items())
    html, data = (escape(shown(path)) for path in files)
    console.print(
        f"[bold green]{len(report.verdicts)} distributions, each with exactly one verdict[/bold green]: {counts}. "
        f"{total:.0f} s in all.\nReport: {html}\n        {data}",
        soft_wrap=True,
    )
    return 0


def _fail(console: Console, message: str) -> int:
    console.print(f"\n[bold red]The demo failed:[/bold red] {escape(message)}", soft_wrap=True)
    return _FAILED

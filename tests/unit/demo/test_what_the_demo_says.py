"""The demo's own voice: phases, conclusion and failure, on a terminal and in a log."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from demo.conclusion import Outcome, tell
from demo.failure import readable, shown
from demo.findings import review
from demo.licence import Confidence
from demo.licence_category import LicenceCategory
from demo.narration import Narrator
from demo.report import AuditReport, write_report
from demo.timings import NamedSpan
from demo.verdict import Decision, Verdict

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def log() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def console_on(log: io.TextIOWrapper, *, terminal: bool = False) -> Console:
    return Console(file=log, width=100, force_terminal=terminal, highlight=False, color_system=None)


def text_of(log: io.TextIOWrapper) -> str:
    log.seek(0)
    return log.read()


def verdict(name: str, decision: Decision = Decision.OK) -> Verdict:
    return Verdict(
        name=name,
        key=name,
        version="1.0",
        summary="",
        decision=decision,
        licence="MIT [sic]",
        category=LicenceCategory.PERMISSIVE,
        confidence=Confidence.HIGH,
        licence_source="License-Expression",
        released="unknown",
        released_evidence="no evidence in its files",
        native=False,
        native_size=0,
        findings=(review("x", "because [of this]"),) if decision is not Decision.OK else (),
    )


def conclude(log: io.TextIOWrapper, folder: Path, names: list[str], *verdicts: Verdict, run: str = "run-1") -> int:
    report = AuditReport(
        generated_at=NOW,
        as_of=date(2026, 11, 21),
        python="3.11",
        platform="Linux",
        run=run,
        expected=tuple(names),
        verdicts=verdicts,
    )
    write_report(report, folder)
    outcome = Outcome("run-1", NOW, NOW, times=(), others=(NamedSpan("report", NOW, NOW, NOW),))
    return tell(Narrator(console_on(log)), names, folder, outcome)


def test_one_verdict_for_each_distribution_is_success(log: io.TextIOWrapper, tmp_path: Path) -> None:
    code = conclude(log, tmp_path, ["a", "b"], verdict("a"), verdict("b", Decision.REVIEW))

    said = text_of(log)
    assert code == 0
    assert "2 distributions, each with exactly one verdict: 1 ok, 1 review, 0 reject" in said
    assert "because [of this]" in said, "what a package says is no mark-up"
    assert "dependency-audit.html" in said


@pytest.mark.parametrize(
    "names,audited,complaint",
    [
        (["a", "b"], ["a"], "missing: b"),
        (["a"], ["a", "a"], "more than once: a"),
        (["a"], ["a", "b"], "not asked for: b"),
    ],
)
def test_any_other_count_is_failure_and_says_which(
    log: io.TextIOWrapper, tmp_path: Path, names: list[str], audited: list[str], complaint: str
) -> None:
    assert conclude(log, tmp_path, names, *map(verdict, audited)) == 1
    assert complaint in text_of(log)


def test_an_earlier_run_s_report_is_not_taken_for_this_one_s(log: io.TextIOWrapper, tmp_path: Path) -> None:
    assert conclude(log, tmp_path, ["a"], verdict("a"), run="run-0") == 1
    assert "is not this run's, but run-0's" in text_of(log)


def test_no_report_at_all_is_failure(log: io.TextIOWrapper, tmp_path: Path) -> None:
    outcome = Outcome("run-1", NOW, NOW, times=(), others=())

    assert tell(Narrator(console_on(log)), ["a"], tmp_path, outcome) == 1
    assert "no readable report" in text_of(log)


def test_in_a_log_each_change_is_one_plain_line(log: io.TextIOWrapper) -> None:
    narrator = Narrator(console_on(log))

    with narrator.phase("Start it") as phase:
        phase.show("half way")
        phase.show("half way")
        phase.result = "on port 1"

    lines = [line.split(" s  ", 1)[1].strip() for line in text_of(log).splitlines()]
    assert lines == ["Start it ...", "half way", "✓ Start it  0.0 s  on port 1"]
    assert [title for title, _ in narrator.phases] == ["Start it"]


def test_on_a_terminal_only_the_end_of_a_phase_stays(log: io.TextIOWrapper) -> None:
    with Narrator(console_on(log, terminal=True)).phase("Start it") as phase:
        phase.show("half way")

    assert text_of(log).splitlines()[-1].endswith("✓ Start it  0.0 s")


def test_a_phase_that_fails_says_so_and_passes_the_error_on(log: io.TextIOWrapper) -> None:
    narrator = Narrator(console_on(log))

    with pytest.raises(RuntimeError, match="broken"), narrator.phase("Start it"):
        raise RuntimeError("broken")

    assert "✗ Start it" in text_of(log)
    assert narrator.phases == []


def test_a_terminal_without_unicode_gets_ascii() -> None:
    log = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)

    with Narrator(console_on(log)).phase("Start it"):
        pass

    assert "+ Start it" in text_of(log)


def test_a_task_s_log_is_readable_and_keeps_the_exception() -> None:
    entries: list[str | dict[str, Any]] = [
        "a plain line",
        {"event": "::group::Pre Execute", "level": "info"},
        {"event": "Working", "level": "info", "ti_id": "x", "filename": "y.py"},
        {"event": "Task failed", "level": "error", "error_detail": [{"exc_type": "OSError", "exc_value": "disk full"}]},
    ]

    assert readable(entries).splitlines() == [
        "a plain line",
        "info    Working",
        "error   Task failed",
        "        OSError: disk full",
    ]


def test_a_path_is_shown_as_short_as_it_can_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert shown(tmp_path / "reports" / "a.html") == "reports/a.html"
    assert shown(Path("/elsewhere/a.html")) == "/elsewhere/a.html"

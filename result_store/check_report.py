"""What a check found, for people and for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from result_store.roles import COMMANDS, Role
from result_store.wiring import Finding, Outcome

__all__ = ["in_json", "in_terminal"]

_MARKS: Final = {
    Outcome.OK: "[green]ok[/green]",
    Outcome.FAILED: "[red]failed[/red]",
    Outcome.SKIPPED: "[yellow]not tried[/yellow]",
}
_WIDTH_OF_A_FILE: Final = 160


def in_json(role: Role, findings: Sequence[Finding]) -> str:
    """All of it, as JSON."""
    ok = all(finding.outcome is Outcome.OK for finding in findings)
    return json.dumps(
        {"role": role.value, "ok": ok, "parts": [finding.to_json() for finding in findings]},
        indent=2,
        ensure_ascii=False,
    )


def in_terminal(role: Role, findings: Sequence[Finding]) -> None:
    """Print a table, and a paragraph for each part that failed."""
    table = Table("part", "", "ms", "what is there")
    for finding in findings:
        detail = finding.detail if finding.outcome is not Outcome.FAILED else "see below"
        table.add_row(finding.part, _MARKS[finding.outcome], f"{finding.seconds * 1000:.0f}", escape(detail))
    # A file or a pipe has no width of its own, and a table that is wrapped is of little use in a log.
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE, highlight=False)
    console.print(table)
    failed = [finding for finding in findings if finding.outcome is Outcome.FAILED]
    for finding in failed:
        console.print(f"\n[red]{escape(finding.part)}[/red]: {escape(finding.detail)}", soft_wrap=True)
        for chain in finding.chains:
            console.print(f"  needed by: {escape(' -> '.join(chain))}", soft_wrap=True)
        console.print(f"  {escape(finding.remedy)}", soft_wrap=True)
    said = "cannot start" if failed else "can start"
    console.print(f"\n`{COMMANDS[role]}` {said}.", markup=False)

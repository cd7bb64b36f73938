"""What the drills are shown as: tables in Markdown, at the terminal and in the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.chaos.cancel_drill import PLACES
from tests.chaos.clock_judging import COUNTED_FROM, Failing
from tests.chaos.clock_waiter import WAYS, Way
from tests.chaos.report import between

__all__ = ["cancel_table", "clock_table", "drills_in_documentation", "provider_table"]


def cancel_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row for each place where a task waited, and one for all."""
    lines = [
        "| task waits | marked failed | graph stopped | `cancelled` recorded | further nodes | p50, s | p95, s | max, s |",
        f"|---|{'---:|' * 7}",
    ]
    for row in rows:
        counts = [str(row[name]) for name in ("marked", "stopped", "recorded", "further")]
        times = [f"{row[name]:.2f}" for name in ("p50", "p95", "max")]
        lines.append(f"| {' | '.join([PLACES.get(row['place'], row['place']), *counts, *times])} |")
    return "\n".join(lines)


def provider_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row for each run."""
    lines = [
        "| seed | tasks | successes | tries | triggerer killed after, s | deferred tasks in its care | took, s |",
        f"|{'---:|' * 7}",
    ]
    for row in rows:
        counts = [str(row[name]) for name in ("seed", "tasks", "successes", "tries")]
        killed = [f"{row['killed_after']:.0f}", str(row["bereaved"]), f"{row['took']:.0f}"]
        lines.append(f"| {' | '.join([*counts, *killed])} |")
    return "\n".join(lines)


def clock_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row for each failure and each way to wait."""
    lines = [
        "| failure | who waits | waits | said what was the matter | counted from | allowed, s | min, s | p50, s | max, s |",
        f"|---|---|---:|---:|---|{'---:|' * 4}",
    ]
    for row in rows:
        counts = [str(row["asked"]), str(row["told"]), COUNTED_FROM[Failing(row["failing"])]]
        times = [f"{row['least']:g} to {row['most']:g}", *(f"{row[name]:.2f}" for name in ("min", "p50", "max"))]
        lines.append(f"| {' | '.join([row['failing'], WAYS[Way(row['way'])], *counts, *times])} |")
    return "\n".join(lines)


def drills_in_documentation(page: str, drills: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The page with the tables of the drills that were run made anew."""
    if "cancel" in drills:
        page = between(page, "cancel drill", cancel_table(drills["cancel"]))
    if "provider" in drills:
        page = between(page, "provider drill", provider_table(drills["provider"]))
    if "clocks" in drills:
        page = between(page, "clock drill", clock_table(drills["clocks"]))
    return page

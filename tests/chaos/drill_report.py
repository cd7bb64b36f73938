"""What the drills are shown as: tables in Markdown, at the terminal and in the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.chaos.cancel_drill import PLACES
from tests.chaos.clock_judging import COUNTED_FROM, Failing
from tests.chaos.clock_waiter import WAYS, Way
from tests.chaos.report import between, markdown_table

__all__ = ["cancel_table", "clock_table", "drills_in_documentation", "provider_table"]


def cancel_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row for each place where a task waited, and one for all."""
    heads = ("task waits", "marked failed", "graph stopped", "`cancelled` recorded", "further nodes")
    return markdown_table(
        (*heads, "p50, s", "p95, s", "max, s"),
        [
            (
                PLACES.get(row["place"], row["place"]),
                *(str(row[name]) for name in ("marked", "stopped", "recorded", "further")),
                *(f"{row[name]:.2f}" for name in ("p50", "p95", "max")),
            )
            for row in rows
        ],
        texts={"task waits"},
    )


def provider_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row for each run."""
    heads = (
        "seed",
        "tasks",
        "successes",
        "tries",
        "triggerer killed after, s",
        "deferred tasks in its care",
        "took, s",
    )
    return markdown_table(
        heads,
        [
            (
                *(str(row[name]) for name in ("seed", "tasks", "successes", "tries")),
                f"{row['killed_after']:.0f}",
                str(row["bereaved"]),
                f"{row['took']:.0f}",
            )
            for row in rows
        ],
    )


def clock_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row for each failure and each way to wait."""
    heads = ("failure", "who waits", "waits", "said what was the matter", "counted from", "allowed, s")
    return markdown_table(
        (*heads, "min, s", "p50, s", "max, s"),
        [
            (
                row["failing"],
                WAYS[Way(row["way"])],
                str(row["asked"]),
                str(row["told"]),
                COUNTED_FROM[Failing(row["failing"])],
                f"{row['least']:g} to {row['most']:g}",
                *(f"{row[name]:.2f}" for name in ("min", "p50", "max")),
            )
            for row in rows
        ],
        texts={"failure", "who waits", "counted from"},
    )


def drills_in_documentation(page: str, drills: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The page with the tables of the drills that were run made anew."""
    if "cancel" in drills:
        page = between(page, "cancel drill", cancel_table(drills["cancel"]))
    if "provider" in drills:
        page = between(page, "provider drill", provider_table(drills["provider"]))
    if "clocks" in drills:
        page = between(page, "clock drill", clock_table(drills["clocks"]))
    return page

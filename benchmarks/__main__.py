"""``python -m benchmarks``: measure, print one table, write it down."""

from __future__ import annotations

import asyncio
import json
import os
import platform
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import catching_up, latency, matching, synchronous, waiters, working
from benchmarks.measuring import Figure
from workflow_events import KafkaSettings
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.embedded import EmbeddedBroker
from workflow_events.testing.new_topics import settings_with_new_topics

Measure = Callable[[KafkaSettings, str, int, float], AsyncIterator[Figure]]
SUITE: dict[str, Measure] = {
    "matching": matching.measure,
    "latency": latency.measure,
    "waiters": waiters.measure,
    "catch-up": catching_up.measure,
    "sync": synchronous.measure,
    "worker": working.measure,
}
PACKAGES = ("workflow-events", "aiokafka", "kafka-python", "pydantic")


def main(
    only: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(SUITE)}; may be given again.")] = None,
    broker: Annotated[list[str] | None, typer.Option(help="embedded or apache; both where left out.")] = None,
    runs: Annotated[int, typer.Option(help="Counted runs of each side.")] = 5,
    scale: Annotated[float, typer.Option(help="A factor on the sizes; the promised ones are those of 1.")] = 1.0,
    output: Annotated[Path, typer.Option(help="Where the figures are written.")] = Path("reports/benchmarks.json"),
) -> None:
    """Measure the SDK against named baselines, side by side on real brokers."""
    console = Console()
    figures: list[Figure] = []
    for name in broker or ["apache", "embedded"]:
        with ExitStack() as stack:
            server: ApacheKafka | EmbeddedBroker = ApacheKafka() if name == "apache" else EmbeddedBroker()
            stack.enter_context(server)
            for suite in only or SUITE:
                console.print(f"[dim]{suite} on {name} ...[/dim]")
                settings = settings_with_new_topics(server.bootstrap_servers, topic_partitions=6)
                figures += asyncio.run(_collect(SUITE[suite], settings, name, runs, scale))
    console.print(_table(figures))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(_document(figures, runs, scale), indent=2) + "\n", encoding="utf-8")
    console.print(f"Written to {output}.")


async def _collect(measure: Measure, settings: KafkaSettings, broker: str, runs: int, scale: float) -> list[Figure]:
    return [figure async for figure in measure(settings, broker, runs, scale)]


def _table(figures: list[Figure]) -> Table:
    table = Table(
        "what",
        "broker",
        "ours",
        "baseline",
        "ratio",
        "min to max",
        "target",
        "",
        title="Medians; ratio = ours / baseline",
    )
    for figure in figures:
        mark = {True: "[green]holds[/green]", False: "[red]misses[/red]", None: ""}[figure.holds]
        table.add_row(
            figure.name,
            figure.broker,
            f"{_median(figure.ours):,.4g} {figure.unit}",
            f"{_median(figure.baseline):,.4g}  {figure.baseline_name}",
            f"{figure.ratio:.2f}",
            f"{min(figure.ratios):.2f} to {max(figure.ratios):.2f}",
            figure.target,
            f"{mark} {figure.note}".strip(),
        )
    return table


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _document(figures: list[Figure], runs: int, scale: float) -> dict[str, object]:
    return {
        "date": datetime.now(tz=UTC).isoformat(timespec="seconds"),
        "machine": {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()},
        "versions": {package: version(package) for package in PACKAGES},
        "runs": runs,
        "scale": scale,
        "figures": [
            {
                "name": figure.name,
                "broker": figure.broker,
                "unit": figure.unit,
                "ours": figure.ours,
                "baseline": figure.baseline,
                "baseline_name": figure.baseline_name,
                "ratio": figure.ratio,
                "ratio_min": min(figure.ratios),
                "ratio_max": max(figure.ratios),
                "target": figure.target,
                "holds": figure.holds,
                "note": figure.note,
            }
            for figure in figures
        ],
    }


if __name__ == "__main__":
    typer.run(main)

"""The command ``workflow-events explain``: where is my request, and what keeps it?"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from workflow_events.cli_common import Servers, errors_in_words, printable, settings_for

if TYPE_CHECKING:
    from workflow_events.explaining.diagnosis import Diagnosis
    from workflow_events.explaining.evidence import Evidence
    from workflow_events.explaining.timeline import Happening

__all__ = ["explain"]


def explain(
    correlation_id: Annotated[UUID, typer.Argument(help="The request's id.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    bootstrap_servers: Servers = None,
) -> None:
    """Say where a request is: its history, the first step that is missing, and why; exit code 1 where it is not finished."""
    with errors_in_words():
        from workflow_events.explaining.collecting import collect  # noqa: PLC0415 - see the module cli
        from workflow_events.explaining.diagnosis import diagnose  # noqa: PLC0415
        from workflow_events.explaining.timeline import timeline_of  # noqa: PLC0415

        evidence = collect(settings_for(bootstrap_servers), correlation_id)
        diagnosis, timeline = diagnose(evidence), timeline_of(evidence)
    if as_json:
        typer.echo(json.dumps(_as_json(evidence, diagnosis, timeline), indent=2))
    else:
        _print(evidence, diagnosis, timeline)
    if not diagnosis.finished:
        raise typer.Exit(1)


def _print(evidence: Evidence, diagnosis: Diagnosis, timeline: list[Happening]) -> None:
    from rich.console import Console  # noqa: PLC0415 - see the module cli
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from workflow_events.explaining.diagnosis import clock  # noqa: PLC0415

    typer.echo(f"Request {evidence.correlation_id}")
    if timeline:
        table = Table("at (UTC)", "what", "from", box=None, pad_edge=False)
        for one in timeline:
            table.add_row(*(Text(printable(cell)) for cell in (clock(one.at, evidence.now), one.what, one.where)))
        # A file or a pipe has no width of its own, and a table that is wrapped is of little use in a log.
        Console(width=None if sys.stdout.isatty() else 240).print(table)
    typer.echo()
    typer.echo(printable(f"{diagnosis.said}: {diagnosis.cause}" if diagnosis.cause else diagnosis.said))
    for note in diagnosis.notes:
        typer.echo(printable(note))


def _as_json(evidence: Evidence, diagnosis: Diagnosis, timeline: list[Happening]) -> dict[str, Any]:
    stored = evidence.stored
    return {
        "correlation_id": str(evidence.correlation_id),
        "finished": diagnosis.finished,
        "status": diagnosis.status,
        "missing": diagnosis.missing.value if diagnosis.missing else None,
        "said": diagnosis.said,
        "cause": diagnosis.cause,
        "notes": diagnosis.notes,
        "timeline": [{"at": one.at.isoformat(), "what": one.what, "where": one.where} for one in timeline],
        "group": asdict(evidence.group) if evidence.group else None,
        "store": None if evidence.store is None else {"url": evidence.store, "state": stored.state if stored else None},
        "troubles": evidence.troubles,
    }

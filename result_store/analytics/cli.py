"""The command ``result-store report``: what steps take in and give out, how long runs take and how they end.

What takes long to import is imported by the command that needs it, so that ``--help`` answers at once. Exit codes: 0 it is
done; 1 it could not be done; 2 the command line or the settings do not hold.
"""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from result_store.analytics.windows import check_window
from workflow_events.cli_common import errors_in_words

if TYPE_CHECKING:
    from result_store.analytics.report import Report

__all__ = ["app"]

_AGO: Final = re.compile(r"(\d{1,6})(m|h|d|w)")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_WIDTH_OF_A_FILE: Final = 200

app = typer.Typer(
    help="Tell of runs and their steps: how they end, how long they take, what they sift.",
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def report(
    context: typer.Context,
    since: Annotated[
        str,
        typer.Option(metavar="TIME", help="From when on: so long ago, as 30m, 24h, 7d or 4w, or a time in ISO 8601."),
    ] = "24h",
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Until when, likewise. Default: now.", show_default=False)
    ] = None,
    workflow_id: Annotated[
        str | None, typer.Option("--workflow-id", "-w", help="Of this workflow alone.", show_default=False)
    ] = None,
    runs: Annotated[
        int, typer.Option(min=0, max=10_000, help="How many of the last runs are told of one by one.")
    ] = 20,
    html: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write one file with charts, and print no tables.", show_default=False),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; durations are in milliseconds.")] = False,
) -> None:
    """Tell of the runs that ended in a time, or that go on, and of their steps.

    ClickHouse is asked where RESULT_STORE_CLICKHOUSE_URL names one, else the store's own database.
    """
    if context.invoked_subcommand is not None:
        return
    now = datetime.now(tz=UTC)
    begin, end = _time(since, now, "--since"), now if until is None else _time(until, now, "--until")
    try:
        check_window(begin, end)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--since") from None
    with errors_in_words():
        found = asyncio.run(_collected(begin, end, workflow_id, runs))
    if html is not None:
        _write(html, found)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    elif html is None:
        _print(found)


@app.command()
def refill() -> None:
    """Copy all runs, steps and decisions from the store's database to ClickHouse; any number of times.

    For a ClickHouse that is new, or has lost rows. Processors may go on meanwhile.
    """
    with errors_in_words():
        copied = asyncio.run(_refilled())
    typer.echo(f"{copied:,} runs are in ClickHouse, with their steps and decisions.", err=True)


async def _collected(since: datetime, until: datetime, workflow_id: str | None, runs: int) -> Report:
    from result_store.analytics.report import answering, collect  # noqa: PLC0415 - see the module's docstring
    from result_store.settings import StoreSettings  # noqa: PLC0415

    async with answering(StoreSettings()) as questions:
        return await collect(questions, since, until, workflow_id, runs=runs)


async def _refilled() -> int:
    from result_store.analytics.clickhouse import ClickHouseSink  # noqa: PLC0415 - see the module's docstring
    from result_store.database.database import ResultDatabase  # noqa: PLC0415
    from result_store.settings import StoreSettings  # noqa: PLC0415

    settings = StoreSettings()
    database = ResultDatabase(settings)
    try:
        sink = ClickHouseSink(settings, database.engine)
        await database.start()
        async with sink:
            return await sink.refill()
    finally:
        await database.close()


def _write(file: Path, found: Report) -> None:
    from result_store.analytics.report_page import page  # noqa: PLC0415 - see the module's docstring

    try:
        file.write_text(page(found), encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be written: {error.strerror}.", param_hint="--html") from None
    typer.echo(f"The report is in {file}.", err=True)


def _print(found: Report) -> None:
    from rich.console import Console  # noqa: PLC0415 - see the module's docstring

    from result_store.analytics.report_tables import tables  # noqa: PLC0415

    # A file or a pipe has no width of its own, and a table that is wrapped is of little use in a log.
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE, highlight=False)
    for one in tables(found):
        console.print(one)


def _time(text: str, now: datetime, option: str) -> datetime:
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is neither so long ago, as 30m, 24h, 7d or 4w, nor a time in ISO 8601.", param_hint=option
        ) from None
    if found.tzinfo is None:
        raise typer.BadParameter(f"{text!r} does not say its time zone: end it with Z or +01:00.", param_hint=option)
    return found

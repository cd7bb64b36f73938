"""The command ``result-store``.

What takes long to import is imported by the command that needs it, so that ``--help`` answers at once. Exit codes: 0 it is
done, or was stopped on request; 1 it could not be done; 2 the command line or the settings do not hold.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from result_store.analytics.cli import app as report_app
from result_store.cli_keys import keys_app
from result_store.roles import Role
from workflow_events.cli_common import errors_in_words

if TYPE_CHECKING:
    from result_store.settings import StoreSettings
    from workflow_events.settings import KafkaSettings

__all__ = ["app"]

app = typer.Typer(
    help="Keep what becomes of requests, and answer for it when the topics have forgotten.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(report_app, name="report")
app.add_typer(keys_app, name="keys")


class Only(StrEnum):
    """Half of the store."""

    PROCESSOR = "processor"
    API = "api"


@app.command()
def run(
    only: Annotated[
        Only | None,
        typer.Option(help="Run only the processor, or only the API and the page. Default: both.", show_default=False),
    ] = None,
    *,
    create_topics: Annotated[bool, typer.Option(help="Make the topics that are missing, first.")] = False,
    migrate: Annotated[bool, typer.Option(help="Bring the database to this version's schema, first.")] = False,
) -> None:
    """Store what the topics tell, and answer for it, until SIGTERM or Ctrl-C.

    Every option of the store is in the environment: its own as RESULT_STORE_…, Kafka's as KAFKA_….
    On SIGTERM or Ctrl-C the batch in hand is finished and committed, and answers under way are given; a second one ends at once.
    """
    with errors_in_words():
        kafka, settings = _settings_and_log()
        from result_store.event_loop import run_serving  # noqa: PLC0415 - see the module's docstring
        from result_store.running import serve  # noqa: PLC0415

        role = Role(only.value) if only is not None else Role.ALL
        run_serving(serve(role, kafka, settings, create_topics=create_topics, migrate=migrate))


@app.command()
def migrate(
    revision: Annotated[str, typer.Option(help="The schema to go to.")] = "head",
    *,
    down: Annotated[
        bool, typer.Option("--down", help="Go back to an older schema; what the older one has no place for is lost.")
    ] = False,
) -> None:
    """Bring the database to this version's schema, or to another one; any number of times."""
    with errors_in_words():
        _, settings = _settings_and_log()
        from result_store.database import migrations  # noqa: PLC0415 - see the module's docstring

        before = migrations.current(settings)
        (migrations.downgrade if down else migrations.upgrade)(settings, revision)
        after = migrations.current(settings)
        said = "was there already" if before == after else f"was at {before or 'none'}"
        typer.echo(f"The database is at schema {after or 'none'}; it {said}.", err=True)


@app.command()
def check(
    role: Annotated[Role, typer.Option(help="What to build.")] = Role.ALL,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Build all that a role needs and touch every dependency, without serving; exit code 1 where one is missing or wrong.

    What is missing is named with the chain of who needs it, and with what to set.
    """
    with errors_in_words():
        kafka, settings = _settings_and_log(quiet=True)
        from result_store.assembly import WIRING, Store  # noqa: PLC0415 - see the module's docstring
        from result_store.check_report import in_json, in_terminal  # noqa: PLC0415
        from result_store.wiring import Outcome  # noqa: PLC0415

        findings = asyncio.run(WIRING.check(role, Store(kafka, settings, role)))
        if as_json:
            typer.echo(in_json(role, findings))
        else:
            in_terminal(role, findings)
        if any(finding.outcome is not Outcome.OK for finding in findings):
            raise typer.Exit(1)


@app.command()
def replay(
    since: Annotated[
        str,
        typer.Option(
            "--from", help="From when on, as 2026-11-01T00:00:00+01:00, or with Z for UTC.", metavar="TIMESTAMP"
        ),
    ],
) -> None:
    """Store once more what the topics hold from a time on; what is stored already stays as it is.

    For a database that was lost, or a processor that was away for longer than its group's offsets are kept.
    """
    begin = _time(since)
    with errors_in_words():
        kafka, settings = _settings_and_log()
        from result_store.running import replay as replayed  # noqa: PLC0415 - see the module's docstring

        report = asyncio.run(replayed(begin, kafka, settings))
    if report is None:
        typer.echo("Stopped; what was read is stored. Call it again for the rest.", err=True)
        raise typer.Exit(1)
    for topic, count in report.messages.items():
        typer.echo(f"{topic}: {count:,} messages", err=True)
    typer.echo(f"{report.changed:,} rows of requests have changed.", err=True)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time in ISO 8601.", param_hint="--from") from None
    if found.tzinfo is None:
        raise typer.BadParameter(f"{text!r} does not say its time zone: end it with Z or +01:00.", param_hint="--from")
    return found


def _settings_and_log(*, quiet: bool = False) -> tuple[KafkaSettings, StoreSettings]:
    """The environment's settings; logging is set up as they say.

    Args:
        quiet: log errors alone, for commands whose output is for people.
    """
    from result_store.logs import configure  # noqa: PLC0415 - see the module's docstring
    from result_store.settings import StoreSettings  # noqa: PLC0415
    from workflow_events.settings import KafkaSettings  # noqa: PLC0415

    settings, kafka = StoreSettings(), KafkaSettings()
    configure(settings, quiet=quiet)
    return kafka, settings

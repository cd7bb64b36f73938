"""What the groups of the command ``workflow-events`` share: where the brokers are, and errors in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from workflow_events.settings import KafkaSettings

__all__ = ["Servers", "errors_in_words", "printable", "settings_for"]

Servers = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        "-b",
        help="Brokers as host:port, separated by commas. Default: KAFKA_BOOTSTRAP_SERVERS, else localhost:9092.",
        show_default=False,
    ),
]


def settings_for(bootstrap_servers: str | None) -> KafkaSettings:
    """The environment's settings, with these brokers where some are named."""
    from workflow_events.settings import KafkaSettings  # noqa: PLC0415 - see the module cli

    return KafkaSettings(bootstrap_servers=bootstrap_servers) if bootstrap_servers else KafkaSettings()


@contextlib.contextmanager
def errors_in_words() -> Iterator[None]:
    """One line and an exit code in place of a traceback."""
    from workflow_events.errors import ConfigurationError, InvalidEventError, WorkflowEventsError  # noqa: PLC0415

    try:
        yield
    except WorkflowEventsError as error:
        typer.echo(f"Error: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(2 if isinstance(error, ConfigurationError | InvalidEventError) else 1) from None


def printable(text: str) -> str:
    """The text without what a terminal would act on: it comes from whoever may write to the topics."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)

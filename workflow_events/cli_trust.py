"""The commands for keys and for the store of large payloads; see :mod:`workflow_events.cli`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from workflow_events.cli_common import errors_in_words, settings_for

__all__ = ["keys_app", "payloads_app"]

keys_app = typer.Typer(help="Keys of the messages' signatures.", no_args_is_help=True)
payloads_app = typer.Typer(help="The store of large payloads.", no_args_is_help=True)


@keys_app.callback()
def keys() -> None:
    """Keys of the messages' signatures."""


@payloads_app.callback()
def payloads() -> None:
    """The store of large payloads."""


@keys_app.command("new")
def new(
    key_id: Annotated[
        str | None,
        typer.Argument(help="The key's id, which messages carry. Default: today's date.", show_default=False),
    ] = None,
) -> None:
    """Make a key and print it as an entry of KAFKA_SIGNING_KEYS. It is a secret: send it to a file or to a vault."""
    import secrets  # noqa: PLC0415 - --help stays quick

    from workflow_events.signing_keys import new_key, parse_keys  # noqa: PLC0415

    entry = new_key(key_id or datetime.now(tz=UTC).strftime("%Y-%m-%d"), secrets.token_bytes(32))
    try:
        parse_keys(entry)
    except ValueError as error:
        raise typer.BadParameter(f"{error}", param_hint="KEY_ID") from None
    typer.echo(entry)


@payloads_app.command("purge")
def purge() -> None:
    """Delete what has been in KAFKA_CLAIM_CHECK_STORE for longer than KAFKA_CLAIM_CHECK_RETENTION, and say how much."""
    with errors_in_words():
        from workflow_events.payloads import Payloads  # noqa: PLC0415

        count = Payloads(settings_for(None)).purge()
    typer.echo(f"Deleted {count} payloads.")

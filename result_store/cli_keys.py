"""``result-store keys``: who may ask the API."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from workflow_events.cli_common import errors_in_words

if TYPE_CHECKING:
    from result_store.api.keys import ApiKey, ApiKeys

__all__ = ["keys_app"]

keys_app = typer.Typer(help="Make, list and revoke the API's keys.", no_args_is_help=True)

T = TypeVar("T")
_WIDTH_OF_A_FILE: Final = 160

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@keys_app.command("create")
def create(
    service: Annotated[str, typer.Option(help="Who asks with it, as X-Service-ID will say.")],
    user: Annotated[str | None, typer.Option(help="It sees this user's requests alone.", show_default=False)] = None,
    tenant: Annotated[
        str | None, typer.Option(help="It sees this tenant's requests alone.", show_default=False)
    ] = None,
    days: Annotated[
        float | None, typer.Option(help="It ends after so many days. Default: never.", min=0.0, show_default=False)
    ] = None,
) -> None:
    """Make a key and print it: this once, for the database keeps only its hash."""
    expires_at = None if days is None else datetime.now(tz=UTC) + timedelta(days=days)
    with errors_in_words():
        key = _with_keys(lambda keys: keys.create(service, user, tenant, expires_at))
    typer.echo("Keep it where secrets are kept: it is not shown again.", err=True)
    typer.echo(key)


@keys_app.command("list")
def list_keys(*, as_json: _AsJson = False) -> None:
    """Show all keys that were ever made, without their secrets."""
    with errors_in_words():
        keys = _with_keys(lambda keys: keys.list())
    now = datetime.now(tz=UTC)
    if as_json:
        shown = [{**_in_text(key), "in_force": key.is_in_force(now)} for key in keys]
        typer.echo(json.dumps(shown, indent=2))
        return
    from rich.console import Console  # noqa: PLC0415 - see the module cli
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("key", "service", "user", "tenant", "made", "expires", "revoked", "in force")
    for key in keys:
        table.add_row(
            *(escape(value or "") for value in _in_text(key).values()), "yes" if key.is_in_force(now) else "no"
        )
    Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE, highlight=False).print(table)


@keys_app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, which is also the second part of its text.")],
) -> None:
    """Take a key back, and the sign-ins at the page that were made with it; exit code 1 where there was nothing to take."""
    with errors_in_words():
        if not _with_keys(lambda keys: keys.revoke(key_id)):
            typer.echo(f"There is no key {key_id!r} in force: `result-store keys list` names them.", err=True)
            raise typer.Exit(1)
    typer.echo(f"Revoked {key_id}.", err=True)


def _with_keys(ask: Callable[[ApiKeys], Awaitable[T]]) -> T:
    from result_store.api.keys import ApiKeys  # noqa: PLC0415 - see the module cli
    from result_store.database.database import ResultDatabase  # noqa: PLC0415
    from result_store.settings import StoreSettings  # noqa: PLC0415

    async def asked() -> T:
        database = ResultDatabase(StoreSettings())
        await database.start()
        try:
            return await ask(ApiKeys(database.engine))
        finally:
            await database.close()

    return asyncio.run(asked())


def _in_text(key: ApiKey) -> dict[str, str | None]:
    times = {"created_at": key.created_at, "expires_at": key.expires_at, "revoked_at": key.revoked_at}
    who = {"key_id": key.key_id, "service": key.service, "user_id": key.user_id, "tenant_id": key.tenant_id}
    return {
        **who,
        **{name: None if time is None else time.isoformat(timespec="seconds") for name, time in times.items()},
    }

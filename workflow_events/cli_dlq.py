"""The commands ``workflow-events dlq``: see what could not be processed, and why, and have it processed again."""

from __future__ import annotations

import base64
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from workflow_events.cli_common import Servers, errors_in_words, printable, settings_for

if TYPE_CHECKING:
    from workflow_events.dead_letter_log import LetterFilter
    from workflow_events.dead_letters import DeadLetter

__all__ = ["dlq_app"]

_LONGEST_SHOWN = 4_000  # characters of a value in `show`

dlq_app = typer.Typer(help="See and replay dead letters: messages that could not be processed.", no_args_is_help=True)

Topics = Annotated[
    list[str] | None,
    typer.Option(
        "--topic", "-t", help="Of the letters of this topic; may be repeated. Default: all.", show_default=False
    ),
]
Reasons = Annotated[
    list[str] | None,
    typer.Option(
        "--reason",
        "-r",
        help="Given up for this reason: invalid-json, wrong-schema, oversize, unknown-graph, poison, undeliverable; may be "
        "repeated.",
        show_default=False,
    ),
]
Id = Annotated[UUID | None, typer.Option("--id", help="Of this request.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one letter on a line.")]
Which = Annotated[str, typer.Argument(help="A letter's position, as topic:partition:offset, or its request's id.")]


@dlq_app.command("list")
def list_letters(
    topic: Topics = None,
    reason: Reasons = None,
    correlation_id: Id = None,
    *,
    replayed: Annotated[
        bool | None, typer.Option("--replayed/--not-replayed", help="Only those replayed, or only the others.")
    ] = None,
    as_json: AsJson = False,
    bootstrap_servers: Servers = None,
) -> None:
    """Show the dead letters, oldest first."""
    with errors_in_words():
        from workflow_events.dead_letter_log import DeadLetterLog  # noqa: PLC0415 - see the module cli

        letters = DeadLetterLog(settings_for(bootstrap_servers)).letters(
            topic or (), _filter(reason, correlation_id, replayed=replayed)
        )
    if as_json:
        for letter in letters:
            typer.echo(json.dumps(_summary(letter)))
    else:
        _print_table(letters)


@dlq_app.command("show")
def show_letter(
    which: Which,
    *,
    as_json: AsJson = False,
    raw: Annotated[bool, typer.Option("--raw", help="Write the original value's bytes, and nothing else.")] = False,
    bootstrap_servers: Servers = None,
) -> None:
    """Show all of one dead letter: why, whence, stack, headers and value."""
    with errors_in_words():
        from workflow_events.dead_letter_log import DeadLetterLog  # noqa: PLC0415 - see the module cli

        letter = DeadLetterLog(settings_for(bootstrap_servers)).find(which)
    if raw:
        sys.stdout.buffer.write(letter.value)
    elif as_json:
        typer.echo(json.dumps(_whole(letter)))
    else:
        _print_letter(letter)


@dlq_app.command("replay")
def replay_letters(
    which: Annotated[
        list[str] | None, typer.Argument(help="Positions (topic:partition:offset) or request ids.", show_default=False)
    ] = None,
    topic: Topics = None,
    reason: Reasons = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Every letter that --topic and --reason leave and that was not replayed yet.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Also what was replayed before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be replayed, and replay nothing.")] = False,
    as_json: AsJson = False,
    bootstrap_servers: Servers = None,
) -> None:
    """Publish original messages again, with their keys and headers, where they came from; exit code 1 if one is refused."""
    if every == bool(which):
        raise typer.BadParameter("Name letters, or give --all.", param_hint="WHICH")
    with errors_in_words():
        from workflow_events.dead_letter_log import DeadLetterLog  # noqa: PLC0415 - see the module cli

        log = DeadLetterLog(settings_for(bootstrap_servers))
        wanted = _filter(reason, None, replayed=None if force else False)
        chosen = log.letters(topic or (), wanted) if every else [log.find(one) for one in which or ()]
        if every:
            chosen = [letter for letter in chosen if letter.left_out is None]
        for letter in chosen:
            if not dry_run:
                log.replay([letter], force=force)
            _say_replayed(letter, as_json=as_json, done=not dry_run)


def _filter(reasons: list[str] | None, correlation_id: UUID | None, *, replayed: bool | None) -> LetterFilter:
    from workflow_events.dead_letter_log import LetterFilter  # noqa: PLC0415 - see the module cli

    return LetterFilter(frozenset(reasons or ()), correlation_id, replayed)


def _say_replayed(letter: DeadLetter, *, as_json: bool, done: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"position": str(letter.position), "replayed": done}))
    else:
        typer.echo(f"{letter.position} {'is replayed' if done else 'would be replayed'}")


def _summary(letter: DeadLetter) -> dict[str, Any]:
    origin = letter.origin
    return {
        "position": str(letter.position),
        "time": letter.time.isoformat() if letter.time else None,
        "code": letter.code,
        "reason": letter.reason,
        "correlation_id": str(letter.correlation_id) if letter.correlation_id else None,
        "topic": origin.topic,
        "partition": origin.partition,
        "offset": origin.offset,
        "bytes": len(letter.value) if letter.left_out is None else letter.left_out,
        "value_left_out": letter.left_out is not None,
        "replays": [stage.value for stage in letter.replays],
    }


def _whole(letter: DeadLetter) -> dict[str, Any]:
    return {
        **_summary(letter),
        "stack": letter.stack,
        "key": None if letter.key is None else base64.b64encode(letter.key).decode(),
        "headers": [[name, base64.b64encode(value).decode()] for name, value in letter.headers],
        "value": base64.b64encode(letter.value).decode(),
    }


def _print_table(letters: list[DeadLetter]) -> None:
    from rich.console import Console  # noqa: PLC0415 - see the module cli
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("position", "since", "code", "request", "bytes", "replayed", "reason")
    for letter in letters:
        said = _summary(letter)
        since = letter.time.isoformat(sep=" ", timespec="seconds") if letter.time else ""
        cells = (
            said["position"],
            since,
            letter.code,
            said["correlation_id"] or "",
            str(said["bytes"]),
            _replayed_in_words(letter),
            letter.reason,
        )
        table.add_row(*(Text(printable(cell)) for cell in cells))
    # A file or a pipe has no width of its own, and a table that is wrapped is of little use in a log.
    Console(width=None if sys.stdout.isatty() else 240).print(table)


def _print_letter(letter: DeadLetter) -> None:
    said = _summary(letter)
    for name in ("position", "time", "code", "reason", "correlation_id"):
        typer.echo(f"{name:<15}{printable(str(said[name] if said[name] is not None else '-'))}")
    origin = ":".join(str(said[name]) for name in ("topic", "partition", "offset"))
    typer.echo(f"{'came from':<15}{printable(origin)}")
    typer.echo(f"{'replayed':<15}{_replayed_in_words(letter) or 'no'}")
    if letter.stack:
        typer.echo("stack")
        for line in letter.stack.splitlines():
            typer.echo(f"  {printable(line)}")
    typer.echo(f"key            {'-' if letter.key is None else _text(letter.key)}")
    typer.echo("headers")
    for name, value in letter.headers:
        typer.echo(f"  {printable(name)}: {_text(value)}")
    left_out = "" if letter.left_out is None else ", left out: the message was too large"
    typer.echo(f"value ({said['bytes']} bytes{left_out})")
    if letter.value:
        typer.echo(f"  {_text(letter.value)}")


def _replayed_in_words(letter: DeadLetter) -> str:
    from workflow_events.dead_letters import ReplayStage  # noqa: PLC0415 - see the module cli

    if not letter.replayed:
        return ""
    return "yes" if ReplayStage.DONE in letter.replays else "begun"


def _text(value: bytes) -> str:
    text = printable(value.decode(errors="backslashreplace"))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}… (`--raw` writes all of it)"

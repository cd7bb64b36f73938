"""The command ``workflow-events``: topics, schemas, dead letters, a request by hand, and where a request is.

What takes long to import is imported by the command that needs it, so that ``--help`` answers at once. Exit codes: 0 it is
done; 1 it could not be done, or the answer is not a success; 2 the command line or the settings do not hold.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workflow_events.cli_common import Servers, errors_in_words, settings_for
from workflow_events.cli_dlq import dlq_app
from workflow_events.cli_explain import explain
from workflow_events.cli_trust import keys_app, payloads_app

if TYPE_CHECKING:
    from workflow_events.client import WorkflowClient
    from workflow_events.events import WorkflowResultEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.topics import TopicReport

__all__ = ["app"]

app = typer.Typer(
    help="Ask workflows to run over Kafka, and look after the topics that takes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
topics_app = typer.Typer(help="Make and check the topics.", no_args_is_help=True)
schema_app = typer.Typer(help="The JSON Schemas of the events.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")
app.add_typer(schema_app, name="schema")
app.add_typer(dlq_app, name="dlq")
app.add_typer(keys_app, name="keys")
app.add_typer(payloads_app, name="payloads")
app.command()(explain)

DataText = Annotated[
    str, typer.Option("--data", "-d", help="The graph's input: a JSON object, @FILE, or - for standard input.")
]
Timeout = Annotated[float, typer.Option(help="Seconds until the request's deadline.", min=0.001)]

AcceptedTimeout = Annotated[
    float | None,
    typer.Option(help="Seconds within which a worker must have taken the request.", min=0.001, show_default=False),
]
HeartbeatTimeout = Annotated[
    float | None,
    typer.Option(help="Seconds for which the worker that took it may be silent.", min=0.001, show_default=False),
]
ShowProgress = Annotated[
    bool | None,
    typer.Option(
        "--progress/--no-progress",
        help="Show the run's progress on standard error. Default: where that is a terminal.",
        show_default=False,
    ),
]
PendingText = Annotated[str, typer.Argument(help="A pending request: its JSON, @FILE, or - for standard input.")]


@app.callback()
def main(
    *, verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what the Kafka clients log.")] = False
) -> None:
    """Ask workflows to run over Kafka, and look after the topics that takes."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.CRITICAL,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
        force=True,
    )


@topics_app.command("create")
def create_topics(bootstrap_servers: Servers = None) -> None:
    """Make the topics that are missing. Topics that exist are compared with the settings and never altered."""
    _topics(bootstrap_servers, create=True)


@topics_app.command("check")
def check_topics(bootstrap_servers: Servers = None) -> None:
    """Compare the topics with the settings; exit code 1 where one is missing or differs."""
    reports = _topics(bootstrap_servers, create=False)
    if not all(report.ok for report in reports):
        raise typer.Exit(1)


@app.command()
def broker(
    port: Annotated[int, typer.Option(help="Where to listen on 127.0.0.1.", min=1, max=65535)] = 9092,
) -> None:
    """Run the embedded broker until Ctrl-C, for trying things out. What it holds is gone when it ends."""
    from workflow_events.errors import ConfigurationError  # noqa: PLC0415 - see the module's docstring
    from workflow_events.local_broker import LOOPBACK, broker_command  # noqa: PLC0415

    try:
        command = broker_command(port)
    except ConfigurationError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(f"A Kafka-protocol broker listens on {LOOPBACK}:{port}; Ctrl-C ends it.", err=True)
    os.execv(command[0], command)  # noqa: S606 - the program of a wheel, with arguments of our own


@schema_app.command("export")
def export_schema(
    folder: Annotated[Path, typer.Argument(help="Where to write them.", file_okay=False)] = Path("schemas"),
) -> None:
    """Write the JSON Schemas of the events into a folder."""
    from workflow_events.schema import export_schemas  # noqa: PLC0415 - see the module's docstring

    for path in export_schemas(folder):
        typer.echo(path)


@schema_app.command("check")
def check_schema(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Where they are. Default: the package's own.", file_okay=False, show_default=False),
    ] = None,
) -> None:
    """Compare schema files with the events; exit code 1 where they differ."""
    from workflow_events.schema import SCHEMA_FOLDER, drift  # noqa: PLC0415 - see the module's docstring

    folder = folder or SCHEMA_FOLDER
    names = drift(folder)
    for name in names:
        typer.echo(f"{name} is not what the events are now. Run `workflow-events schema export {folder}`.", err=True)
    if names:
        raise typer.Exit(1)


@app.command()
def request(
    workflow_id: Annotated[str, typer.Argument(help="The workflow to run; it names the graph.")],
    data: DataText = "{}",
    timeout: Timeout = 300.0,
    graph: Annotated[str | None, typer.Option(help="The graph, where the workflow does not name it.")] = None,
    thread_id: Annotated[str | None, typer.Option(help="The LangGraph thread to go on with.")] = None,
    run_id: Annotated[str | None, typer.Option(help="Groups requests that belong together.")] = None,
    *,
    wait: Annotated[
        bool, typer.Option(help="Wait for the result; else print the pending request, which `wait` takes.")
    ] = True,
    accepted_timeout: AcceptedTimeout = None,
    heartbeat_timeout: HeartbeatTimeout = None,
    progress: ShowProgress = None,
    bootstrap_servers: Servers = None,
) -> None:
    """Ask a workflow to run, and print its result as JSON; exit code 1 where that is not a success."""
    values = _json_object(data, "--data")
    with errors_in_words():
        from workflow_events.client import WorkflowClient  # noqa: PLC0415 - see the module's docstring

        with WorkflowClient(settings_for(bootstrap_servers)) as client:
            pending = client.submit(
                workflow_id,
                values,
                timeout=timeout,
                graph=graph,
                thread_id=thread_id,
                workflow_run_id=run_id,
                accepted_timeout=accepted_timeout,
                heartbeat_timeout=heartbeat_timeout,
            )
            if wait:
                _print_result(_wait(client, pending, show=progress))
            else:
                _print_pending(pending)


@app.command("wait")
def wait_for(
    pending: PendingText,
    *,
    accepted_timeout: AcceptedTimeout = None,
    heartbeat_timeout: HeartbeatTimeout = None,
    progress: ShowProgress = None,
    bootstrap_servers: Servers = None,
) -> None:
    """Wait for the result of a request that was made before, by any process, and print it as JSON."""
    values = _json_object(pending, "PENDING")
    with errors_in_words():
        from workflow_events.client import WorkflowClient  # noqa: PLC0415 - see the module's docstring
        from workflow_events.pending import PendingRequest  # noqa: PLC0415

        request = PendingRequest.from_json(values).with_clocks(
            accepted_timeout=accepted_timeout, heartbeat_timeout=heartbeat_timeout
        )
        with WorkflowClient(settings_for(bootstrap_servers)) as client:
            _print_result(_wait(client, request, show=progress))


@app.command()
def cancel(
    pending: PendingText,
    reason: Annotated[str | None, typer.Option(help="Why, for the logs and the result.", show_default=False)] = None,
    bootstrap_servers: Servers = None,
) -> None:
    """Ask whichever worker has a request's run to stop it. Its waiters then get a result of status cancelled."""
    values = _json_object(pending, "PENDING")
    with errors_in_words():
        from workflow_events.client import WorkflowClient  # noqa: PLC0415 - see the module's docstring
        from workflow_events.pending import PendingRequest  # noqa: PLC0415

        request = PendingRequest.from_json(values)
        with WorkflowClient(settings_for(bootstrap_servers)) as client:
            client.cancel(request, reason)
        typer.echo(f"Asked to cancel request {request.correlation_id}.", err=True)


def _wait(client: WorkflowClient, pending: PendingRequest, *, show: bool | None) -> WorkflowResultEvent:
    if not (sys.stderr.isatty() if show is None else show):
        return client.wait(pending)
    from workflow_events.cli_progress import ProgressView  # noqa: PLC0415 - see the module's docstring

    with ProgressView() as view:
        return client.wait(pending, on_progress=view.show)


def _topics(bootstrap_servers: str | None, *, create: bool) -> list[TopicReport]:
    with errors_in_words():
        from workflow_events.topics import ensure_topics  # noqa: PLC0415 - see the module's docstring

        reports = ensure_topics(settings_for(bootstrap_servers), create=create)
    _print_topics(reports)
    return reports


def _print_topics(reports: list[TopicReport]) -> None:
    from rich.console import Console  # noqa: PLC0415 - see the module's docstring
    from rich.table import Table  # noqa: PLC0415

    table = Table("topic", "state", "partitions", "differs from the settings")
    for report in reports:
        table.add_row(
            report.name,
            report.outcome.value,
            "" if report.partitions is None else str(report.partitions),
            "\n".join(map(str, report.differences)),
        )
    # A file or a pipe has no width of its own, and a table that is wrapped is of little use in a log.
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _print_result(result: WorkflowResultEvent) -> None:
    typer.echo(result.model_dump_json(indent=2, exclude_none=True))
    if result.status != "success":
        raise typer.Exit(1)


def _print_pending(pending: PendingRequest) -> None:
    typer.echo(json.dumps(pending.to_json()))


def _json_object(text: str, name: str) -> dict[str, Any]:
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{error}", param_hint=name) from None
    if not isinstance(found, dict):
        raise typer.BadParameter('It must be a JSON object, such as {"question": "..."}.', param_hint=name)
    return found

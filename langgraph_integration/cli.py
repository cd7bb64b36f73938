"""The command ``workflow-worker``."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workflow_events.errors import ConfigurationError, WorkflowEventsError

if TYPE_CHECKING:
    from langgraph_integration.worker import WorkflowWorker
    from langgraph_integration.worker_settings import WorkerSettings

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)

_FAULT = 1
_USAGE = 2
# Seconds. Threads of sync nodes cannot be cancelled; they get this long after the drain.
_THREAD_PATIENCE = 5.0
# Beyond the drain time-out, for cancelled runs to clean up and for leaving the group.
_DRAIN_MARGIN = 20.0


@app.command()
def main(  # noqa: PLR0917 - Typer reads a command's options from its arguments
    graphs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=]MODULE:GRAPH...", help="Graphs to run, as module:graph or path/to/file.py:graph."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A langgraph.json; the one here if no graph is named.")
    ] = None,
    group_id: Annotated[str | None, typer.Option(help="The consumer group.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Runs at the same time.")] = None,
    checkpointer: Annotated[
        str | None,
        typer.Option(
            help="none, sqlite:///path or postgresql://…; better in WORKFLOW_WORKER_CHECKPOINTER, where it is not seen."
        ),
    ] = None,
    checkpointer_connections: Annotated[int | None, typer.Option(help="The most that PostgreSQL's pool opens.")] = None,
    run_timeout: Annotated[float | None, typer.Option(help="Seconds that one run may take.")] = None,
    recursion_limit: Annotated[int | None, typer.Option(help="Supersteps that one run may take.")] = None,
    drain_timeout: Annotated[float | None, typer.Option(help="Seconds that runs get to end on SIGTERM.")] = None,
    rebalance_timeout: Annotated[
        float | None, typer.Option(help="Seconds that runs get when their partition moves.")
    ] = None,
    session_timeout: Annotated[
        float | None, typer.Option(help="Seconds of silence after which a worker counts as dead.")
    ] = None,
    max_uncommitted: Annotated[
        int | None, typer.Option(help="Ended requests behind a long run before a partition pauses.")
    ] = None,
    transactions: Annotated[
        bool | None, typer.Option(help="Commit a result and its request's offset in one transaction.")
    ] = None,
    progress: Annotated[bool | None, typer.Option(help="Tell the progress topic what runs do.")] = None,
    heartbeat_interval: Annotated[float | None, typer.Option(help="Seconds between a run's heartbeats.")] = None,
    cancel_look_back: Annotated[
        float | None, typer.Option(help="Seconds before its start from which on a worker reads cancels.")
    ] = None,
    max_crashes: Annotated[
        int | None, typer.Option(help="Workers that a request may crash before it is given up; 0: any number.")
    ] = None,
    retryable_errors: Annotated[str | None, typer.Option(help="Exceptions that are worth another try.")] = None,
    permanent_errors: Annotated[str | None, typer.Option(help="Exceptions that are not.")] = None,
    retry_judge: Annotated[str | None, typer.Option(help="A function that says so of an exception.")] = None,
    redact_errors: Annotated[bool | None, typer.Option(help="Keep other exceptions' messages here.")] = None,
    shown_errors: Annotated[
        str | None, typer.Option(help="Exceptions whose messages may leave the worker all the same.")
    ] = None,
    health_host: Annotated[str | None, typer.Option(help="Address of the health endpoint.")] = None,
    health_port: Annotated[int | None, typer.Option(help="Port of the health endpoint.")] = None,
    log_format: Annotated[str | None, typer.Option(help="json or console; console at a terminal.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    create_topics: Annotated[bool, typer.Option(help="Make the topics that are missing, first.")] = False,  # noqa: FBT002
) -> None:
    """Run LangGraph graphs for requests from Kafka.

    Every option may also be set in the environment: Kafka's as KAFKA_…, the worker's as WORKFLOW_WORKER_….
    SIGTERM or Ctrl-C drains: runs with lasting checkpoints end their step, others may end, within the drain time-out; what
    is left is handed back. A second one hands everything back at once.
    Exit code 0: stopped on request; 1: a fault; 2: the configuration does not hold.
    """
    options = {
        "group_id": group_id,
        "concurrency": concurrency,
        "checkpointer": checkpointer,
        "checkpointer_connections": checkpointer_connections,
        "run_timeout": run_timeout,
        "recursion_limit": recursion_limit,
        "drain_timeout": drain_timeout,
        "rebalance_timeout": rebalance_timeout,
        "session_timeout": session_timeout,
        "max_uncommitted": max_uncommitted,
        "transactions": transactions,
        "progress": progress,
        "heartbeat_interval": heartbeat_interval,
        "cancel_look_back": cancel_look_back,
        "max_crashes": max_crashes,
        "retryable_errors": retryable_errors,
        "permanent_errors": permanent_errors,
        "retry_judge": retry_judge,
        "redact_errors": redact_errors,
        "shown_errors": shown_errors,
        "health_host": health_host,
        "health_port": health_port,
        "log_format": log_format,
        "log_level": log_level,
    }
    given = {name: value for name, value in options.items() if value is not None}
    try:
        worker = _worker(graphs or [], config, given, create_topics=create_topics)
        code = asyncio.run(_run(worker))
    except ConfigurationError as error:
        _say(error)
        code = _USAGE
    except WorkflowEventsError as error:
        _say(error)
        code = _FAULT
    raise typer.Exit(code)


def _worker(
    references: list[str], config: Path | None, options: dict[str, Any], *, create_topics: bool
) -> WorkflowWorker:
    from langgraph_integration.graph_file import apply_environment, read_graph_file  # noqa: PLC0415 - --help stays quick

    if not references and config is None:
        config = Path("langgraph.json")
        if not config.exists():
            raise ConfigurationError(
                "Name a graph, as module:graph, or a file with --config: there is no langgraph.json here"
            )
    if config is not None:
        apply_environment(read_graph_file(config))  # first: it may hold the settings of Kafka and of the worker

    from langgraph_integration.worker import WorkflowWorker  # noqa: PLC0415
    from langgraph_integration.worker_settings import WorkerSettings  # noqa: PLC0415
    from workflow_events.logs import configure_logging  # noqa: PLC0415
    from workflow_events.settings import KafkaSettings  # noqa: PLC0415

    settings = WorkerSettings(**options)
    at_a_terminal = "log_format" not in settings.model_fields_set and sys.stderr.isatty()
    configure_logging("console" if at_a_terminal else settings.log_format, settings.log_level)
    kafka = KafkaSettings()
    if create_topics:
        from workflow_events.topics import ensure_topics  # noqa: PLC0415

        ensure_topics(kafka)
    return WorkflowWorker(kafka, _load(references, config), worker_settings=settings)


def _load(references: list[str], config: Path | None) -> dict[str, object]:
    from langgraph_integration.graph_loading import load_object  # noqa: PLC0415
    from langgraph_integration.graph_registry import graphs_from_file  # noqa: PLC0415

    here = Path.cwd()
    if str(here) not in sys.path:
        sys.path.insert(0, str(here))  # as `python -m` does: a command's own sys.path begins at its bin folder
    graphs = graphs_from_file(config) if config is not None else {}
    for given in references:
        name, separator, reference = given.partition("=")
        if not separator:
            name, reference = given.rpartition(":")[2], given
        if name in graphs:
            raise ConfigurationError(f"Two graphs are named {name!r}: name one of them otherwise, as NAME={reference}")
        graphs[name] = load_object(reference, folder=here, where=f"argument {given!r}")
    return graphs


async def _run(worker: WorkflowWorker) -> int:
    options: WorkerSettings = worker.worker_settings
    # Sync nodes run in the loop's default executor, which has few threads; one for each run, and some for the rest.
    executor = ThreadPoolExecutor(max_workers=options.concurrency + 8, thread_name_prefix="node")
    asyncio.get_running_loop().set_default_executor(executor)
    work = asyncio.ensure_future(worker.run())
    stopping = asyncio.ensure_future(worker.stopping.wait())
    try:
        await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            _exit_within(options.drain_timeout + _DRAIN_MARGIN, _FAULT, "Runs do not end, though they were cancelled")
        await work
    finally:
        stopping.cancel()
        _exit_within(_THREAD_PATIENCE, 0 if worker.stopping.is_set() else _FAULT, "Threads of sync nodes still run")
    return 0


def _exit_within(seconds: float, code: int, reason: str) -> None:
    """Ends the process even where user code does not end: Python would wait for its threads and tasks for ever."""

    def end() -> None:
        logging.getLogger(__name__).warning("%s; ending without them. They will be delivered again.", reason)
        logging.shutdown()
        os._exit(code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _say(error: WorkflowEventsError) -> None:
    typer.secho(f"workflow-worker: {error}", err=True, fg=typer.colors.RED)

"""``make demo`` from its first line to its last: start the parts, run the DAG, stop everything, and tell what came out."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import httpx
from rich.markup import escape

from demo import conclusion, progress
from demo.conclusion import Outcome
from demo.failure import forget_logs, keep_logs, shown, why_failed
from demo.inventory import installed
from demo.narration import Narrator
from demo.observation import KafkaWatch, RunHistory
from demo.parts import BootWatch, DemoParts, PartDiedError, forget_outer_settings
from demo.timings import request_times
from workflow_events.errors import WorkflowEventsError
from workflow_events.testing.airflow_rest import FINAL_STATES, DagImportError
from workflow_events.testing.processes import ServerStartError
from workflow_events.testing.unavailable import PartUnavailableError
from workflow_events.topics import ensure_topics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from demo.narration import Phase

DAG_ID = "dependency_audit"
_ASKING = "audit"
_TASKS = ("requests", _ASKING, "report")
_LINK = "Workflow run"
"""What Airflow calls the link of a task that asks."""
_LOOK_EVERY = 0.5
"""Seconds between two looks at the run."""
_FAILED = 1
_INTERRUPTED = 130
"""The shell's exit code for a Ctrl-C."""


class DemoFailedError(RuntimeError):
    """The DAG did not do what it is there for; the message says what failed, with the end of the log that tells why."""


class Plan(NamedTuple):
    """What to run.

    Attributes:
        chunks: the requests that the work is cut into.
        folder: where the report goes.
        timeout: seconds that the DAG run may take.
        store: whether a result store keeps what becomes of the requests.
        hold: whether its page stays open after the run, until a Ctrl-C.
    """

    chunks: int
    folder: Path
    timeout: float
    store: bool = False
    hold: bool = False


def run_demo(console: Console, plan: Plan) -> int:
    """Run the demo.

    Args:
        console: where to tell what happens.

    Returns:
        The exit code: 0 if every installed distribution got exactly one verdict.
    """
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        forget_logs(plan.folder)
    except OSError as error:
        console.print(f"[bold red]The report cannot be written:[/bold red] {escape(str(error))}", soft_wrap=True)
        return _FAILED
    forget_outer_settings()
    _end_on_signals()
    narrator = Narrator(console)
    names = tuple(installed())
    console.print(
        f"[bold]workflow-events demo[/bold]: a licence and maintenance audit of the {len(names)} Python distributions "
        "installed here.\nAn Airflow DAG asks a LangGraph worker over Kafka; its tasks are deferred while they wait.\n"
    )
    try:
        return _run(narrator, names, plan._replace(folder=plan.folder.resolve()))
    except KeyboardInterrupt:
        console.print("\n[bold]Interrupted.[/bold] Everything that the demo had started is stopped.")
        return _INTERRUPTED
    except (DemoFailedError, PartDiedError, PartUnavailableError, ServerStartError, DagImportError) as error:
        console.print(f"\n[bold red]The demo failed:[/bold red] {escape(str(error))}", soft_wrap=True)
        return _FAILED
    except (WorkflowEventsError, httpx.HTTPError, TimeoutError) as error:
        console.print(
            f"\n[bold red]The demo failed:[/bold red] {type(error).__name__}: {escape(str(error))}", soft_wrap=True
        )
        return _FAILED


def _run(narrator: Narrator, names: Sequence[str], plan: Plan) -> int:
    with ExitStack() as stack:
        parts = DemoParts(store=plan.store)
        stack.callback(_stop, narrator, parts)
        try:
            _start(narrator, parts)
            with KafkaWatch(parts.settings) as watch:
                outcome = _run_dag(narrator, parts, watch, plan)
            _see_stored(narrator, parts, outcome)
        except Exception:
            with suppress(OSError):  # what failed is more important than that its logs cannot be kept
                narrator.console.print(f"The logs of all parts are in {escape(shown(keep_logs(parts, plan.folder)))}/")
            raise
        if parts.store is not None and plan.hold:
            with narrator.phase("Stop Airflow and the worker"):
                parts.close_both_sides()
            code = conclusion.tell(narrator, names, plan.folder, outcome)
            _hold(narrator.console, parts.store.url)
            return code
    return conclusion.tell(narrator, names, plan.folder, outcome)


def _see_stored(narrator: Narrator, parts: DemoParts, outcome: Outcome) -> None:
    """See that the result store, where there is one, knows what became of every request, and that Airflow's link leads there.

    Raises:
        DemoFailedError: a task's link opens no page of the store.
    """
    if parts.store is None:
        return
    with narrator.phase("Look into the result store") as phase:
        said = parts.store.wait_for(outcome.run_id, len(outcome.times))
        task = f"/dags/{DAG_ID}/dagRuns/{outcome.run_id}/taskInstances/{_ASKING}"
        links = parts.airflow.rest("GET", f"{task}/links", params={"map_index": 0})["extra_links"]
        link = str(links.get(_LINK))
        if not parts.store.shows(link):
            raise DemoFailedError(f"the link {_LINK!r} of the task {_ASKING}[0] opens no page of the store: {link}")
        phase.result = f"{said}; the link of {_ASKING}[0] opens {link}"


def _hold(console: Console, url: str) -> None:
    """Keep what still runs until a Ctrl-C."""
    console.print(f"\nThe audit, request by request: [bold]{escape(url)}[/bold]\nCtrl-C closes it.", soft_wrap=True)
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        console.print()


def _start(narrator: Narrator, parts: DemoParts) -> None:
    with narrator.phase("Start the embedded broker") as phase:
        parts.broker.start()
        phase.result = parts.broker.bootstrap_servers
    with narrator.phase("Make the topics") as phase:
        phase.result = f"{len(ensure_topics(parts.settings))} topics"
    also = "" if parts.store is None else "the result store, "
    with narrator.phase(f"Start {also}the LangGraph worker and Airflow {parts.airflow.version}") as phase:
        if parts.store is not None:
            parts.store.process.start()
        parts.worker.start()
        with BootWatch(parts, phase.show) as boot:
            parts.airflow.start()
            parts.worker.wait_ready(parts.worker_is_ready, 60.0)
            if parts.store is not None:
                parts.store.process.wait_ready(parts.store.is_ready, 60.0)
        boot.look()
        phase.result = f"ready after: {boot.shown}"
    if parts.store is not None:
        narrator.console.print(
            f"          The result store's page: [bold]{escape(parts.store.url)}[/bold]", soft_wrap=True
        )
    with narrator.phase(f"Airflow reads the DAG {DAG_ID}"):
        parts.airflow.wait_for_dag(DAG_ID)


def _run_dag(narrator: Narrator, parts: DemoParts, watch: KafkaWatch, plan: Plan) -> Outcome:
    history = RunHistory()
    with narrator.phase(f"Run the DAG with {plan.chunks} requests") as phase:
        run_id = parts.airflow.trigger(DAG_ID, {"chunks": plan.chunks, "report_folder": str(plan.folder)})
        deadline = time.monotonic() + plan.timeout
        while (state := _look(parts, watch, history, run_id, phase)) not in FINAL_STATES:
            if time.monotonic() > deadline:
                raise DemoFailedError(f"the DAG run was not over after {plan.timeout:g} s: {_line(history, watch)}")
            time.sleep(_LOOK_EVERY)
        if state != "success":
            raise DemoFailedError(why_failed(parts, history, DAG_ID, run_id))
        phase.result = progress.counted(len(watch.requests()), len(watch.results()))
    run = parts.airflow.rest("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}")
    asked = parts.airflow.xcom(DAG_ID, run_id, "requests")
    times = request_times(
        history, watch.requests(), watch.results(), asked, asking_task="requests", mapped_task=_ASKING
    )
    return Outcome.of(run, history, times, others=("requests", "report"))


def _look(parts: DemoParts, watch: KafkaWatch, history: RunHistory, run_id: str, phase: Phase) -> str | None:
    """Look at the run once, and return its state; None where Airflow was too busy to tell."""
    parts.check_alive()
    try:
        state = parts.airflow.run_state(DAG_ID, run_id)
        history.note(parts.airflow.task_instances(DAG_ID, run_id))
    except httpx.TransportError:
        return None
    seen = {"requests": len(watch.requests()), "results": len(watch.results())}
    phase.show(_line(history, watch), progress.as_table(history, _TASKS, **seen))
    return state


def _line(history: RunHistory, watch: KafkaWatch) -> str:
    return progress.as_line(history, _TASKS, requests=len(watch.requests()), results=len(watch.results()))


def _stop(narrator: Narrator, parts: DemoParts) -> None:
    # A second Ctrl-C must not leave half of it behind.
    former = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        with narrator.phase("Stop everything"):
            parts.close()
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _end_on_signals() -> None:
    """Let SIGTERM and a lost terminal end the demo as an exception does, through everything that cleans up."""

    def end(number: int, _frame: Any) -> NoReturn:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)

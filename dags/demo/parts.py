"""The real parts that the demo runs on: an embedded broker, a LangGraph worker, Airflow, and a result store if asked for.

They are the public helpers of ``workflow_events.testing``; here is only what the demo adds: in which folders they work,
how the worker is started, and what to say when one of them dies.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import httpx

from demo.store import DemoStore
from workflow_events.settings import KafkaSettings
from workflow_events.testing.airflow import AirflowStack, Component
from workflow_events.testing.airflow_rest import AirflowRest
from workflow_events.testing.embedded import EmbeddedBroker
from workflow_events.testing.processes import LOOPBACK, ServerProcess, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

HERE = Path(__file__).parent
DAGS_FOLDER = HERE.parent
_LAST_LINES = 30


class PartDiedError(RuntimeError):
    """One of the demo's parts ended while it was needed. The message holds the end of its log."""

    def __init__(self, name: str, log: str) -> None:
        super().__init__(f"{name} has ended\n{tail(log)}")


class DemoParts:
    """The broker, the worker and Airflow, and the result store. A context manager: nothing of it is left behind.

    Args:
        store: whether there is a result store.

    Raises:
        PartUnavailableError: one of them is not installed here.
    """

    def __init__(self, *, store: bool = False) -> None:
        with ExitStack() as stack, ExitStack() as asking:
            self._make(stack, asking, store=store)
            self._stack = stack.pop_all()
            self._asking = asking.pop_all()

    def _make(self, stack: ExitStack, asking: ExitStack, *, store: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="workflow-events-demo-"))
        stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.broker = EmbeddedBroker()
        stack.callback(self.broker.close)
        self.settings = KafkaSettings(bootstrap_servers=self.broker.bootstrap_servers, _env_file=None)
        self.store = DemoStore(self.folder / "store", _kafka(self.settings)) if store else None
        if self.store is not None:
            stack.callback(self.store.process.stop)
        self.health_port = free_port()
        self.worker = ServerProcess(
            "the LangGraph worker",
            [Path(sys.executable).with_name("workflow-worker"), "--config", HERE / "langgraph.json"],
            log_file=self.folder / "worker.log",
            environment=self._environment()
            | {
                "WORKFLOW_WORKER_HEALTH_PORT": str(self.health_port),
                "WORKFLOW_WORKER_CHECKPOINTER": f"sqlite:///{self.folder / 'checkpoints.sqlite'}",
                "WORKFLOW_WORKER_LOG_FORMAT": "json",
                # The embedded broker lets a worker into its group after half of this.
                "WORKFLOW_WORKER_SESSION_TIMEOUT": "4",
            },
            directory=self.folder,
        )
        asking.callback(self.worker.stop, 5.0)
        home = self.folder / "airflow"
        home.mkdir()
        link = {} if self.store is None else {"AIRFLOW__WORKFLOW_EVENTS__RUN_URL": self.store.run_url}
        self.airflow = AirflowStack(DAGS_FOLDER, environment={**_kafka(self.settings), **link}, home=home)
        asking.callback(self.airflow.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything and remove its files."""
        with self._stack:
            self.close_both_sides()

    def close_both_sides(self) -> None:
        """Stop Airflow and the worker: nobody asks any more, and nobody answers."""
        self._asking.close()

    def check_alive(self) -> None:
        """Look whether every part still runs.

        Raises:
            PartDiedError: one does not.
        """
        for name, (running, log) in self._all().items():
            if not running():
                raise PartDiedError(name, log())

    def logs(self) -> dict[str, str]:
        """What each part that was started has logged, by its name."""
        found = {}
        for name, (_, log) in self._all().items():
            try:
                found[name] = log()
            except OSError:
                continue  # it was never started
        return found

    def _all(self) -> Mapping[str, tuple[Callable[[], bool], Callable[[], str]]]:
        def component(name: Component) -> tuple[Callable[[], bool], Callable[[], str]]:
            return (lambda: self.airflow.is_running(name), lambda: self.airflow.component_log(name))

        return {
            "embedded broker": (lambda: self.broker.is_running, self.broker.log_text),
            "LangGraph worker": _of(self.worker),
            **{f"Airflow {name}": component(name) for name in get_args(Component)},
            **({} if self.store is None else {"result store": _of(self.store.process)}),
        }

    def worker_is_ready(self) -> bool:
        """Whether the worker is a member of its group and a broker answers it."""
        return _answers(f"http://{LOOPBACK}:{self.health_port}/readyz")

    def _environment(self) -> dict[str, str]:
        programs = str(Path(sys.executable).parent)
        return {
            **os.environ,
            "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]),
            **_kafka(self.settings),
        }


class BootWatch:
    """Notes, beside the boot itself, when each part became ready: seconds since the watch began, by the part's name."""

    def __init__(self, parts: DemoParts, tell: Callable[[str], None]) -> None:
        self.ready: dict[str, float] = {}
        self._parts = parts
        self._tell = tell
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="boot-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=10.0)

    def look(self) -> None:
        """Look once, at whatever is not ready yet."""
        before = len(self.ready)
        self._note("worker", self._parts.worker_is_ready)
        if self._parts.store is not None:
            self._note("result store", self._parts.store.is_ready)
        names: tuple[Component, ...] = get_args(Component)
        self._note("Airflow's database", lambda: self._parts.airflow.is_running("api-server"))
        if "Airflow's database" in self.ready:
            health = self._health()
            for name in names:
                self._note(name, partial(_is_healthy, health, name))
        if len(self.ready) > before:
            self._tell(self.shown)

    def _watch(self) -> None:
        while not self._stop.wait(0.3):
            self.look()

    def _note(self, name: str, condition: Callable[[], bool]) -> None:
        if name not in self.ready and condition():
            self.ready[name] = time.monotonic() - self._began

    @property
    def shown(self) -> str:
        """What is ready, and after how many seconds."""
        return ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.ready.items())

    def _health(self) -> Mapping[str, Mapping[str, str | None]]:
        rest = AirflowRest(self._parts.airflow.base_url)  # the stack's own client belongs to the thread that boots it
        try:
            return rest.health()
        except httpx.HTTPError:
            return {}
        finally:
            rest.close()


def tail(log: str, lines: int = _LAST_LINES) -> str:
    """The last lines of a log, indented."""
    return "\n".join(f"    {line}" for line in log.rstrip().splitlines()[-lines:])


def forget_outer_settings() -> None:
    """Take out of our own environment what would steer the demo's parts elsewhere: settings of another Kafka, worker or store."""
    for name in [name for name in os.environ if name.startswith(("KAFKA_", "WORKFLOW_", "RESULT_STORE_"))]:
        del os.environ[name]
    # Airflow and the worker find the demo by themselves, as they would a user's: the one by the DAG folder, the other by
    # the path in langgraph.json.
    paths = [
        path
        for path in os.environ.pop("PYTHONPATH", "").split(os.pathsep)
        if path and Path(path).resolve() != DAGS_FOLDER
    ]
    if paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)


def _of(process: ServerProcess) -> tuple[Callable[[], bool], Callable[[], str]]:
    return (lambda: process.is_running, process.log_text)


def _kafka(settings: KafkaSettings) -> dict[str, str]:
    return {"KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers}


def _is_healthy(health: Mapping[str, Mapping[str, Any]], name: str) -> bool:
    if name == "api-server":
        return bool(health)
    state = health.get(name.replace("-", "_"), {})
    return state.get("status") == "healthy"


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).is_success
    except httpx.HTTPError:
        return False

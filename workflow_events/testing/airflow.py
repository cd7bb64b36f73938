"""A real Airflow 3 for tests: api-server, scheduler, dag-processor and triggerer, each a process that can die alone.

Airflow runs in child processes only; nothing here imports it. All its settings are the defaults, but for where things are
(home, database, ports on 127.0.0.1), who is let in (everybody, as admin), and what must be the same in all four processes
(keys). Log servers are off: they listen on all addresses, and on one machine the log files are at hand.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import importlib.metadata
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from workflow_events.testing.airflow_rest import FINAL_STATES, AirflowRest
from workflow_events.testing.processes import LOOPBACK, ServerProcess, ServerStartError, free_port
from workflow_events.testing.server_context import ServerContext
from workflow_events.testing.unavailable import PartUnavailableError
from workflow_events.testing.waiting import wait_until

Component = Literal["api-server", "scheduler", "dag-processor", "triggerer"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AnotherTriggerer:
    """A triggerer beside the first.

    Attributes:
        server: its process.
        job_id: Airflow's name for it; the ``triggerer_id`` of the triggers in its care.
    """

    server: ServerProcess
    job_id: int


_HEALTH_NAMES = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}


def airflow_version() -> str:
    """Return the installed version of Airflow.

    Raises:
        PartUnavailableError: it is not installed.
    """
    try:
        return importlib.metadata.version("apache-airflow-core")
    except importlib.metadata.PackageNotFoundError:
        raise PartUnavailableError("Airflow is not installed: pip install 'workflow-events[airflow]'") from None


class AirflowStack(AirflowRest, ServerContext):
    """One Airflow, as a context manager.

    Args:
        dags_folder: the DAG files.
        database: URL of an empty PostgreSQL database (``postgresql://...``); `None` takes an SQLite file.
        environment: more environment for all processes: ``AIRFLOW_CONN_...``, ``AIRFLOW__SECTION__KEY``, ``KAFKA_...``.
        home: an empty folder for Airflow's files that is kept; `None` takes a temporary one.

    Of our own environment all is handed on but what is Airflow's.

    Attributes:
        components: the process of each component by its name.
        environment: the environment of all of them.
        home: Airflow's home.

    Raises:
        PartUnavailableError: Airflow is not installed.
    """

    def __init__(
        self,
        dags_folder: Path,
        *,
        database: str | None = None,
        environment: Mapping[str, str] | None = None,
        home: Path | None = None,
    ) -> None:
        self.version = airflow_version()
        self.database = database
        self._temporary = home is None
        self.home = Path(tempfile.mkdtemp(prefix="workflow-events-airflow-")) if home is None else home
        self.port = free_port()
        super().__init__(f"http://{LOOPBACK}:{self.port}")
        self.environment = _environment(self.home, self.base_url, dags_folder.resolve(), database) | dict(
            environment or {}
        )
        self.components: Mapping[Component, ServerProcess] = {
            name: self._component(name) for name in ("api-server", "dag-processor", "scheduler", "triggerer")
        }

    @property
    def real_part(self) -> str:
        """What the summary of a test run calls it."""
        return f"Airflow {self.version} on {'PostgreSQL' if self.database else 'SQLite'}"

    def start(self, timeout: float = 120.0) -> None:
        """Set the database up, start all components and wait until each has sent a heartbeat.

        Raises:
            ServerStartError: one ended, or was not ready within `timeout` seconds.
        """
        if self.database is None:
            template = _migrated_sqlite(self.version)
            shutil.copy(template / "airflow.db", self.home)
            settings = template.joinpath("airflow.cfg").read_text()
            self.home.joinpath("airflow.cfg").write_text(settings.replace(str(template), str(self.home)))
        else:
            _migrate(self.environment)
        begin = datetime.now(UTC)
        for server in self.components.values():
            server.start()
        for name in self.components:
            self._wait_ready(name, begin, timeout)

    def start_component(self, name: Component, timeout: float = 60.0) -> None:
        """Start one component that was stopped or killed, and wait for its first heartbeat.

        Raises:
            ServerStartError: it ended, or was not ready within `timeout` seconds.
        """
        begin = datetime.now(UTC)
        self.components[name].start()
        self._wait_ready(name, begin, timeout)

    @contextlib.contextmanager
    def another_triggerer(self, timeout: float = 60.0) -> Iterator[AnotherTriggerer]:
        """Run a triggerer beside the first while the block lasts. It may be killed inside.

        Raises:
            ServerStartError: it ended, or was not ready within `timeout` seconds.
        """
        before = self.triggerers()
        server = self._component("triggerer", called="second triggerer")
        server.start()
        try:
            server.wait_ready(lambda: bool(self.triggerers() - before), timeout, interval=0.25)
            yield AnotherTriggerer(server, max(self.triggerers() - before))
        finally:
            server.kill()

    def kill(self, name: Component) -> None:
        """End one component and everything it started as ``kill -9`` does: the scheduler takes running tasks with it."""
        self.components[name].kill()

    def stop_component(self, name: Component, grace: float = 20.0) -> None:
        """Ask one component to end, and kill what is left of it after `grace` seconds."""
        self.components[name].stop(grace)

    def is_running(self, name: Component) -> bool:
        """Whether that component's process lives."""
        return self.components[name].is_running

    def component_log(self, name: Component) -> str:
        """Return what that component has logged since it was last started."""
        return self.components[name].log_text()

    def wait_for(self, condition: Callable[[], T], timeout: float, *, what: str | Callable[[], str] = "") -> T:
        """Call `condition` a few times a second until it returns something true, and return that.

        Raises:
            TimeoutError: it did not within `timeout` seconds.
        """
        return wait_until(condition, timeout, interval=0.25, what=what)

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 120.0) -> str:
        """Wait until the run is over and return its state, ``success`` or ``failed``.

        Raises:
            TimeoutError: it was not over within `timeout` seconds; the message has the state of each task.
        """

        def over() -> str | None:
            state = self.run_state(dag_id, run_id)
            return state if state in FINAL_STATES else None

        def where_it_stands() -> str:
            dead = [name for name, server in self.components.items() if not server.is_running]
            return f"the end of {dag_id} {run_id}; tasks: {self.task_states(dag_id, run_id)}; not running: {dead}"

        return str(self.wait_for(over, timeout, what=where_it_stands))

    def close(self) -> None:
        """End all components, and remove their files if they are in a temporary folder."""
        super().close()
        # Nothing of this database is looked at again, so nobody waits for it to be left in good order.
        for server in self.components.values():
            server.kill()
        if self._temporary:
            shutil.rmtree(self.home, ignore_errors=True)

    def _component(self, name: Component, *, called: str = "") -> ServerProcess:
        options: dict[Component, tuple[str, ...]] = {
            "api-server": ("--host", LOOPBACK, "--port", str(self.port)),
            "scheduler": ("--skip-serve-logs",),
            "triggerer": ("--skip-serve-logs",),
        }
        return ServerProcess(
            f"Airflow's {called or name}",
            [sys.executable, "-m", "airflow", name, *options.get(name, ())],
            log_file=self.home / f"{(called or name).replace(' ', '-')}.log",
            environment=self.environment,
            directory=self.home,
        )

    def _wait_ready(self, name: Component, begin: datetime, timeout: float) -> None:
        self.components[name].wait_ready(lambda: self._is_healthy(name, begin), timeout, interval=0.25)

    def _is_healthy(self, name: Component, begin: datetime) -> bool:
        """Whether the api-server answers; of the others, whether it tells of a heartbeat later than `begin`."""
        import httpx

        try:
            health = self.health()
        except (httpx.TransportError, httpx.HTTPStatusError):
            return False
        if name not in _HEALTH_NAMES:
            return health["metadatabase"]["status"] == "healthy"
        state = health[_HEALTH_NAMES[name]]
        heartbeat = state.get(f"latest_{_HEALTH_NAMES[name]}_heartbeat")
        return state["status"] == "healthy" and heartbeat is not None and datetime.fromisoformat(heartbeat) >= begin


def _environment(home: Path, base_url: str, dags_folder: Path, database: str | None) -> dict[str, str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "PYTEST_", "COV_CORE_"))
    }
    programs = str(Path(sys.executable).parent)
    settings = {
        "core__dags_folder": str(dags_folder),
        "core__load_examples": "False",
        "core__execution_api_server_url": f"{base_url}/execution/",
        "core__simple_auth_manager_all_admins": "True",
        "core__fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "api__base_url": base_url,
        "api__secret_key": secrets.token_hex(16),
        "api_auth__jwt_secret": secrets.token_urlsafe(64),
        "database__sql_alchemy_conn": database or f"sqlite:///{home / 'airflow.db'}",
        "usage_data_collection__enabled": "False",
    }
    return {
        **inherited,
        "PATH": os.pathsep.join([programs, inherited.get("PATH", os.defpath)]),
        "AIRFLOW_HOME": str(home),
        **{f"AIRFLOW__{name.upper()}": value for name, value in settings.items()},
    }


@functools.cache
def _migrated_sqlite(version: str) -> Path:
    """Return a home of that Airflow with a migrated database and a configuration file, made once per process."""
    import atexit

    home = Path(tempfile.mkdtemp(prefix=f"workflow-events-airflow-{version}-template-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    _migrate(_environment(home, "http://127.0.0.1:1", home, None))
    return home


def _migrate(environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=dict(environment),
        cwd=environment["AIRFLOW_HOME"],
    )
    if done.returncode != 0:
        raise ServerStartError(
            f"airflow db migrate failed with exit code {done.returncode}:\n{done.stdout}{done.stderr}"
        )

"""A throw-away PostgreSQL server: its own data folder, a free port on 127.0.0.1, no password."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from workflow_events.testing.processes import LOOPBACK, ServerProcess, ServerStartError, free_port
from workflow_events.testing.server_context import ServerContext
from workflow_events.testing.unavailable import PartUnavailableError

_USER = "postgres"
"""The database's superuser; and, where we are root, the system user that runs the server, for PostgreSQL refuses root."""


class PostgresServer(ServerContext):
    """One PostgreSQL server, as a context manager.

    It does not wait for its disk (``fsync`` is off): a killed server recovers all that was committed, a lost machine would
    lose data.

    Args:
        max_connections: Airflow's processes take some dozens.
        shared_buffers: how much of the databases it keeps in its memory, as PostgreSQL's setting of that name has it.

    Raises:
        PartUnavailableError: PostgreSQL's programs are not installed.
    """

    def __init__(self, max_connections: int = 200, *, shared_buffers: str = "128MB") -> None:
        self._programs = _program_folder()
        self.version = _version(self._programs)
        self.port = free_port()
        self._run_as = _USER if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="workflow-events-postgres-"))
        if self._run_as:
            shutil.chown(self._folder, self._run_as, self._run_as)
        options = {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": max_connections,
            "shared_buffers": shared_buffers,
            "fsync": "off",
            "full_page_writes": "off",
        }
        self._server = ServerProcess(
            f"PostgreSQL {self.version}",
            [
                self._programs / "postgres",
                *("-D", self._folder / "data"),
                *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
            ],
            log_file=self._folder / "server.log",
            directory=self._folder,
            user=self._run_as,
            stop_signal=signal.SIGINT,  # PostgreSQL's "fast" shutdown; SIGTERM would wait for its clients
        )

    @property
    def dsn(self) -> str:
        """The URL of the database ``postgres``, as libpq and psycopg take it."""
        return self._dsn("postgres")

    @property
    def real_part(self) -> str:
        """What the summary of a test run calls it."""
        return f"PostgreSQL {self.version}"

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL.

        Raises:
            RuntimeError: it cannot be created, say because there is one of that name.
        """
        self._run("createdb", "-h", LOOPBACK, "-p", str(self.port), "-U", _USER, name)
        return self._dsn(name)

    def start(self, timeout: float = 30.0) -> None:
        """Start it, with the data of the last time if there was one, and wait until it answers.

        Raises:
            ServerStartError: it does not within `timeout` seconds.
        """
        if not self._folder.joinpath("data").exists():
            data = str(self._folder / "data")
            try:
                self._run(
                    "initdb", "-D", data, "-U", _USER, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"
                )
            except RuntimeError as error:
                raise ServerStartError(str(error)) from error
        self._server.start()
        self._server.wait_ready(self._answers, timeout)

    def stop(self, grace: float = 10.0) -> None:
        """Shut it down in good order; the data stays."""
        self._server.stop(grace)

    def kill(self) -> None:
        """End it as ``kill -9`` does; the data stays, and the next start recovers it."""
        self._server.kill()

    def log_text(self) -> str:
        """Return what it has logged since it was last started."""
        return self._server.log_text()

    def close(self) -> None:
        """End it and remove its data."""
        self._server.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _dsn(self, database: str) -> str:
        return f"postgresql://{_USER}@{LOOPBACK}:{self.port}/{database}"

    def _answers(self) -> bool:
        command = [str(self._programs / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(self.port)]
        return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=self._folder,
            user=self._run_as,
            group=self._run_as,
            extra_groups=None if self._run_as is None else [],
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed with exit code {done.returncode}:\n{done.stdout}{done.stderr}")


def _program_folder() -> Path:
    """Return the folder of the newest installed server programs; Debian keeps them off the path."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda found: int(found.parts[-3]))
    if not installed:
        raise PartUnavailableError("PostgreSQL's server programs are not installed (Debian package: postgresql)")
    return installed[-1].parent


def _version(programs: Path) -> str:
    told = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True)
    return told.stdout.split()[2]

"""A throw-away Redis server: memory alone, a free port on 127.0.0.1, no password."""

from __future__ import annotations

import itertools
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from workflow_events.testing.processes import LOOPBACK, ServerProcess, free_port
from workflow_events.testing.server_context import ServerContext
from workflow_events.testing.unavailable import PartUnavailableError

_DATABASES: Final = 4096
"""Empty ones cost nothing."""


class RedisServer(ServerContext):
    """One Redis server, as a context manager. What it holds is gone when it ends.

    Raises:
        PartUnavailableError: ``redis-server`` is not installed.
    """

    def __init__(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise PartUnavailableError("redis-server is not installed (Debian package: redis-server)")
        self.version = _version(program)
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="workflow-events-redis-"))
        self._numbers = itertools.count(1)
        options = {
            "bind": LOOPBACK,
            "port": self.port,
            "databases": _DATABASES,
            "save": "",
            "appendonly": "no",
            "dir": self._folder,
        }
        self._server = ServerProcess(
            f"Redis {self.version}",
            [program, *(str(part) for name, value in options.items() for part in (f"--{name}", value))],
            log_file=self._folder / "server.log",
            directory=self._folder,
        )

    @property
    def url(self) -> str:
        """The URL of database 0, as redis-py takes it."""
        return self._url(0)

    @property
    def real_part(self) -> str:
        """What the summary of a test run calls it."""
        return f"Redis {self.version}"

    def new_database(self) -> str:
        """Return the URL of a database that this server has given to nobody yet, so that tests share a server alone.

        Raises:
            RuntimeError: all of them are given.
        """
        number = next(self._numbers)
        if number >= _DATABASES:
            raise RuntimeError(f"all {_DATABASES} databases of this Redis are given")
        return self._url(number)

    def start(self, timeout: float = 30.0) -> None:
        """Start it, at the port of the last time and empty, and wait until it answers.

        Raises:
            ServerStartError: it does not within `timeout` seconds.
        """
        self._server.start()
        self._server.wait_ready(self._answers, timeout)

    def stop(self, grace: float = 10.0) -> None:
        """Shut it down in good order."""
        self._server.stop(grace)

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self._server.kill()

    def log_text(self) -> str:
        """Return what it has logged since it was last started."""
        return self._server.log_text()

    def close(self) -> None:
        """End it and remove its folder."""
        self._server.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _url(self, database: int) -> str:
        return f"redis://{LOOPBACK}:{self.port}/{database}"

    def _answers(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def _version(program: str) -> str:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return next((word.removeprefix("v=") for word in told.split() if word.startswith("v=")), "of an unknown version")

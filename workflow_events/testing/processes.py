"""Start a server as a child process, know when it is ready, and end it with everything it started.

Each server runs in a process session of its own, so that a Ctrl-C meant for the test run does not reach it first and a
``kill -9`` reaches exactly its own processes. Whatever way the test run ends, nothing stays behind: `ServerProcess` is a
context manager, `atexit` ends what is still there, and a guard process (see `process_tree`) does it where this process was
itself killed.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from workflow_events.testing import process_tree
from workflow_events.testing.interruption import uninterrupted
from workflow_events.testing.waiting import wait_until

LOOPBACK = "127.0.0.1"
"""The only address that servers of this package listen on."""

_recently_given: set[int] = set()


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nobody listens on, and that was not returned before by this process.

    The kernel picks it from the ephemeral range. Another process can still take it before the server does; a server that
    does not come up says so in its log, which is part of the error.
    """
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if port not in _recently_given:
            _recently_given.add(port)
            return port


def accepts_connections(port: int) -> bool:
    """Tell whether something on 127.0.0.1 accepts a TCP connection at `port`."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0):
            return True
    except OSError:
        return False


class ServerStartError(RuntimeError):
    """A server ended, or was not ready in time. The message holds the end of its log."""


class ServerProcess:
    """One server: its process tree, and its log in a file.

    Args:
        name: what to call it in errors.
        command: program and arguments.
        log_file: standard output and error are appended to it; its folder must exist.
        environment: the child's whole environment; `None` inherits ours.
        directory: the child's working directory; `None` inherits ours.
        user: run as this system user; only root may ask for it.
        stop_signal: what asks this server to end in good order.

    The object can be started again after it was stopped or killed. Its methods may be called from any one thread at a time.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | os.PathLike[str]],
        *,
        log_file: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.command = tuple(os.fspath(part) for part in command)
        self.log_file = log_file
        self.environment = environment
        self.directory = directory
        self.user = user
        self.stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The id of the leading process, which is also the id of its process group and session.

        Raises:
            RuntimeError: the server is not started.
        """
        if self._process is None:
            raise RuntimeError(f"{self.name} is not started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the leading process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and return at once; `wait_ready` waits.

        Raises:
            RuntimeError: it is started already.
            OSError: the program cannot be run.
        """
        if self._process is not None:
            raise RuntimeError(f"{self.name} is started already")
        with self.log_file.open("ab") as log, uninterrupted():
            self._log_start = log.seek(0, os.SEEK_END)
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if self.environment is None else dict(self.environment),
                cwd=self.directory,
                start_new_session=True,
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
            )
            _GUARD.watch(self)

    def wait_ready(self, condition: Callable[[], bool], timeout: float, *, interval: float = 0.02) -> None:
        """Wait until `condition`, which is asked every `interval` seconds, is true.

        Raises:
            ServerStartError: the server ended, or `timeout` seconds went by. It is stopped then.
        """

        def ready_or_dead() -> bool:
            return not self.is_running or condition()

        try:
            wait_until(ready_or_dead, timeout, interval=interval)
        except TimeoutError:
            self.kill()
            raise ServerStartError(f"{self.name} was not ready within {timeout:g} s\n{self.log_tail()}") from None
        if not self.is_running:
            code = None if self._process is None else self._process.returncode
            self.kill()
            raise ServerStartError(f"{self.name} ended with exit code {code} while it started\n{self.log_tail()}")

    def log_text(self) -> str:
        """Return what the server has logged since it was last started."""
        with self.log_file.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def log_tail(self, lines: int = 40) -> str:
        """Return the last lines of the log, headed by the file's name."""
        return "\n".join([f"--- end of {self.log_file} ---", *self.log_text().splitlines()[-lines:]])

    def stop(self, grace: float = 10.0) -> None:
        """Ask the whole tree to end, wait up to `grace` seconds, then kill what is left. Does nothing when not started."""
        self._end(self.stop_signal, grace)

    def kill(self) -> None:
        """End the whole tree at once with SIGKILL, as a lost machine would. Does nothing when not started."""
        self._end(signal.SIGKILL, 0.0)

    def _end(self, first_signal: signal.Signals, grace: float) -> None:
        if self._process is None:
            return
        process, leader = self._process, self._process.pid
        tree = process_tree.members(leader)
        process_tree.send(leader, tree, first_signal)
        end_of_grace = time.monotonic() + grace
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not process_tree.alive(tree), end_of_grace - time.monotonic())
        tree |= process_tree.members(leader)
        process_tree.send(leader, tree, signal.SIGKILL)
        process.wait()
        wait_until(lambda: not process_tree.alive(tree), 10.0, what=lambda: f"the end of {self.name}, processes {tree}")
        self._process = None
        _GUARD.forget(self, leader)


class _Guard:
    """Ends the started servers when this process ends, in good order or not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[int, ServerProcess] = {}
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    def watch(self, server: ServerProcess) -> None:
        with self._lock:
            if self._process is None:
                script = os.fspath(process_tree.__file__)
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", script], stdin=subprocess.PIPE, text=True, start_new_session=True
                )
                self._owner = os.getpid()
                atexit.register(self._end_all)
            self._watched[server.pid] = server
            self._tell(f"+{server.pid}")

    def forget(self, server: ServerProcess, leader: int) -> None:
        with self._lock:
            if self._watched.pop(leader, None) is server:
                self._tell(f"-{leader}")

    def _tell(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):  # the guard was killed; atexit and the context managers remain
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()

    def _end_all(self) -> None:
        if os.getpid() != self._owner:
            return  # a forked copy of the starter ends; the servers are not its own
        for server in tuple(self._watched.values()):
            server.kill()
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._process.wait()


_GUARD = _Guard()

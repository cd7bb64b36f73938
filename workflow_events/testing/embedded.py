"""The embedded broker: Kafka's protocol in one small process, memory only, ready in milliseconds.

See :mod:`workflow_events.local_broker`. What it holds is gone when it ends. It lacks transactions, and aiokafka's idempotent
producers.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from workflow_events.errors import ConfigurationError
from workflow_events.local_broker import LOOPBACK, broker_command
from workflow_events.testing.processes import ServerProcess, accepts_connections, free_port
from workflow_events.testing.unavailable import PartUnavailableError


class EmbeddedBroker:
    """One embedded broker, as a context manager.

    Args:
        port: where to listen on 127.0.0.1; `None` takes a free port. It stays the same over restarts.

    Raises:
        PartUnavailableError: the wheel is not installed, or has no program for this machine.
    """

    def __init__(self, port: int | None = None) -> None:
        self.port = free_port() if port is None else port
        self._folder = Path(tempfile.mkdtemp(prefix="workflow-events-embedded-"))
        self._server = ServerProcess(
            "the embedded broker",
            _command(self.port),
            log_file=self._folder / "broker.log",
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect, as ``host:port``."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def is_running(self) -> bool:
        """Whether the broker's process lives."""
        return self._server.is_running

    @property
    def real_part(self) -> str:
        """What the summary of a test run calls it."""
        return "embedded broker"

    def start(self, timeout: float = 10.0) -> None:
        """Start it and wait until it accepts connections.

        Raises:
            ServerStartError: it does not within `timeout` seconds.
        """
        self._server.start()
        self._server.wait_ready(lambda: accepts_connections(self.port), timeout)

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self._server.kill()

    def restart(self, timeout: float = 10.0) -> None:
        """End it and start it again at the same address, with no topics: it keeps nothing."""
        self._server.kill()
        self.start(timeout)

    def log_text(self) -> str:
        """Return what it has logged since it was last started."""
        return self._server.log_text()

    def close(self) -> None:
        """End it and remove its files."""
        # It holds nothing worth a graceful end.
        self._server.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def _command(port: int) -> list[str]:
    try:
        return broker_command(port)
    except ConfigurationError as error:
        raise PartUnavailableError(str(error)) from error

"""An S3 API server in a process of its own: moto's, which keeps buckets in memory."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path

from workflow_events.testing.processes import LOOPBACK, ServerProcess, free_port
from workflow_events.testing.server_context import ServerContext
from workflow_events.testing.unavailable import PartUnavailableError

_NEEDED = ("moto", "flask", "flask_cors")


class S3Server(ServerContext):
    """One S3 API server, as a context manager. It takes any credentials.

    Raises:
        PartUnavailableError: moto is not installed, or what its server needs is not.
    """

    def __init__(self) -> None:
        if any(importlib.util.find_spec(name) is None for name in _NEEDED):
            raise PartUnavailableError("moto is not installed: pip install 'moto[s3]' flask flask-cors")
        self.version = version("moto")
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="workflow-events-s3-"))
        # Its warnings are those of the libraries that it brings, and nobody here can mend them.
        command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", LOOPBACK, "-p", str(self.port)]
        self._server = ServerProcess(
            "moto's S3 server", command, log_file=self._folder / "server.log", directory=self._folder
        )

    @property
    def endpoint(self) -> str:
        """Where clients connect, as a URL."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What the environment of a process must say so that its S3 clients come here."""
        return {
            "AWS_ENDPOINT": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "access-key",
            "AWS_SECRET_ACCESS_KEY": "secret-of-the-bucket",
        }

    @property
    def real_part(self) -> str:
        """What the summary of a test run calls it."""
        return f"S3 API (moto {self.version})"

    def create_bucket(self, name: str) -> str:
        """Create a bucket, or leave the one of that name as it is; returns its URL."""
        with urllib.request.urlopen(  # noqa: S310 - our own server
            urllib.request.Request(f"{self.endpoint}/{name}", method="PUT"),  # noqa: S310
            timeout=30,
        ):
            return f"s3://{name}"

    def start(self, timeout: float = 60.0) -> None:
        """Start it, empty, and wait until it answers.

        Raises:
            ServerStartError: it does not within `timeout` seconds.
        """
        self._server.start()
        self._server.wait_ready(self._answers, timeout, interval=0.1)

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        self._server.kill()

    def close(self) -> None:
        """End it and remove its folder."""
        self._server.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/moto-api/", timeout=2):  # noqa: S310 - our own server
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

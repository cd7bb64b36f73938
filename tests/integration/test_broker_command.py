"""``workflow-events broker``: the broker of the quick start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from workflow_events.testing.processes import ServerProcess, accepts_connections, free_port


def test_the_broker_listens_until_it_is_ended(tmp_path: Path) -> None:
    # Given the command on a free port
    port = free_port()
    command = [str(Path(sys.executable).with_name("workflow-events"))]
    server = ServerProcess("broker", [*command, "broker", "--port", str(port)], log_file=tmp_path / "log")
    server.start()
    try:
        server.wait_ready(lambda: accepts_connections(port), 20)
        # When topics are made on it
        made = subprocess.run(
            [*command, "topics", "create", "-b", f"127.0.0.1:{port}"], capture_output=True, text=True, check=True
        )
    finally:
        server.stop()
    # Then they are there, and the broker has gone with its command
    assert "workflow-results" in made.stdout
    assert not accepts_connections(port)

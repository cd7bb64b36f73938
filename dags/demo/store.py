"""The result store of the demo: the very command, beside the demo's broker, and what it says of the run in the end.

Its page goes on showing the audit when Airflow and the worker are gone: everything that it shows was on the topics.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import httpx

from workflow_events.testing.processes import LOOPBACK, ServerProcess, free_port
from workflow_events.testing.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

_STORED_WITHIN = 60.0
"""Seconds after the last result until the store has it; it takes about one."""


class DemoStore:
    """The process ``result-store run``, on SQLite and a folder. Everybody on this machine may look.

    Args:
        folder: where its database, its archive and its log go.
        kafka: the settings of the broker, as environment variables.
    """

    def __init__(self, folder: Path, kafka: dict[str, str]) -> None:
        folder.mkdir()
        self.url = f"http://{LOOPBACK}:{(port := free_port())}"
        self.process = ServerProcess(
            "the result store",
            [sys.executable, "-m", "result_store", "run", "--create-topics", "--migrate"],
            log_file=folder / "store.log",
            environment={
                **os.environ,
                **kafka,
                "RESULT_STORE_DATABASE_URL": f"sqlite:///{folder / 'results.db'}",
                "RESULT_STORE_ARCHIVE": str(folder / "archive"),
                "RESULT_STORE_API_PORT": str(port),
                "RESULT_STORE_AUTH": "none",
                "RESULT_STORE_METRICS": "false",
                "RESULT_STORE_LOG_FORMAT": "json",
            },
            directory=folder,
        )

    @property
    def run_url(self) -> str:
        """Where Airflow's link of a task leads, as ``[workflow_events] run_url`` takes it."""
        return f"{self.url}/runs/{{correlation_id}}"

    def is_ready(self) -> bool:
        """Whether it reads the topics and answers."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2.0, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def wait_for(self, run_id: str, requests: int) -> str:
        """Wait until it knows the end of every request of a DAG run, and return how they ended, in words.

        Raises:
            TimeoutError: it does not, within a minute.
        """
        found: dict[str, int] = wait_until(
            lambda: self._ended(run_id, requests),
            _STORED_WITHIN,
            interval=0.2,
            what=f"the result store to know the end of {requests} requests",
        )
        return ", ".join(f"{number} {state}" for state, number in found.items())

    def shows(self, link: str) -> bool:
        """Whether a link opens one of its pages."""
        if not link.startswith(f"{self.url}/"):
            return False
        return httpx.get(link, timeout=10.0, trust_env=False).is_success

    def _ended(self, run_id: str, requests: int) -> dict[str, int]:
        answer = httpx.get(
            f"{self.url}/internal/v1/batches/{run_id}/status", params={"limit": 1}, timeout=10.0, trust_env=False
        )
        batch: dict[str, Any] = answer.json() if answer.is_success else {}
        if batch.get("by_phase", {}).get("finished", 0) < requests:
            return {}
        return dict(batch["by_state"])

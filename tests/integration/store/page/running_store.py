"""The whole store as its users start it: ``result-store run`` in a process of its own, with keys, on the embedded defaults."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Self

import httpx

from result_store.settings import PREFIX
from workflow_events.settings import KafkaSettings
from workflow_events.testing.processes import ServerProcess

_ADDRESS = re.compile(r"API and page at (http://[\w.:]+)")
_COMMAND = [sys.executable, "-m", "result_store"]


class RunningStore:
    """A context manager.

    Args:
        kafka: names the broker and the topics, which are made where they are missing.
        folder: for its database, its archive and its log.
        auth: ``keys`` or ``none``.
    """

    def __init__(self, kafka: KafkaSettings, folder: Path, *, auth: str = "keys") -> None:
        self.kafka = kafka
        named = {f"KAFKA_{name.upper()}": str(getattr(kafka, name)) for name in kafka.model_fields_set}
        ours = {
            "DATABASE_URL": f"sqlite:///{folder / 'store.db'}",
            "ARCHIVE": str(folder / "archive"),
            "STORED_TOPIC": f"stored-{uuid.uuid4().hex[:12]}",
            "GROUP_ID": f"store-{uuid.uuid4().hex[:12]}",
            "POLL_INTERVAL": "0.1",
            "API_PORT": "0",
            "METRICS": "false",
            "AUTH": auth,
            "RATE_LIMIT": "none",
            "LOG_FORMAT": "json",
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", PREFIX))}
        self.environment = {**inherited, **named, **{f"{PREFIX}{name}": value for name, value in ours.items()}}
        self._process = ServerProcess(
            "result-store",
            [*_COMMAND, "run", "--create-topics", "--migrate"],
            log_file=folder / "store.log",
            environment=self.environment,
        )
        self.url = ""

    def __enter__(self) -> Self:
        self._process.start()
        try:
            self._process.wait_ready(self._is_ready, 240.0, interval=0.25)
        except BaseException:
            self._process.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def log_text(self) -> str:
        """What it has logged."""
        return self._process.log_text()

    def new_key(self, service: str, *options: str) -> str:
        """An API key, as the command makes one."""
        command = [*_COMMAND, "keys", "create", "--service", service, *options]
        made = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        found = re.search(r"wfk_[\w-]+", made.stdout)
        if found is None:
            raise RuntimeError(f"no key: {made.stdout}{made.stderr}")
        return found[0]

    def _is_ready(self) -> bool:
        if not self.url:
            found = _ADDRESS.search(self._process.log_text())
            self.url = found[1] if found else ""
        try:
            return bool(self.url) and httpx.get(f"{self.url}/readyz", timeout=5.0, trust_env=False).is_success
        except httpx.HTTPError:
            return False

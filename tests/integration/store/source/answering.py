"""A result store that answers as a test tells it to: what the real one would need an outage for, or a proxy before it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID

from result_store.records import RunRecord

PROBLEM = "application/problem+json"


@dataclass
class StoreApi:
    """What it answers, and what it was asked.

    Attributes:
        runs: the requests that it knows.
        broken: status, content type and body that it answers with instead.
        asked: path and headers of each question.
    """

    url: str = ""
    runs: dict[UUID, RunRecord] = field(default_factory=dict)
    broken: tuple[int, str, bytes] | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def keep(self, run: RunRecord) -> None:
        self.runs[run.correlation_id] = run

    def answer(self, path: str) -> tuple[int, str, bytes]:
        if self.broken is not None:
            return self.broken
        run = self.runs.get(UUID(path.rpartition("/")[2]))
        if run is None:
            detail = f"There is no request {path.rpartition('/')[2]} here."
            return 404, PROBLEM, json.dumps({"title": "Not Found", "status": 404, "detail": detail}).encode()
        return 200, "application/json", run.model_dump_json().encode()


@contextmanager
def answering() -> Iterator[StoreApi]:
    """It listens on loopback while the block lasts."""
    api = StoreApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            api.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            status, content_type, body = api.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            if status in {301, 307}:
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()

"""ClickHouse's HTTP interface over its engine in this process (chdb), as far as clickhouse-connect asks for it.

https://clickhouse.com/docs/interfaces/http: a query stands in the body, or in the option ``query``; then the body holds the rows
of an INSERT. Values are options ``param_...``. An error has its code in a header.
"""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import chdb
import lz4.frame  # type: ignore[import-untyped]

INSERT_SETTINGS = {"throw_on_max_partitions_per_insert_block"}
USER, PASSWORD = "analyst", "0pen sesame"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: ClassVar[Any]
    lock: ClassVar[Lock]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(iter(self._chunk, b""))
        self._serve(body)

    def do_GET(self) -> None:
        self._serve(b"")

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline(), 16)
        chunk = self.rfile.read(size)
        self.rfile.readline()
        return chunk

    def _serve(self, body: bytes) -> None:
        granted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {granted}":
            self._reply(
                403, b"Code: 516. DB::Exception: no (AUTHENTICATION_FAILED)", {"X-ClickHouse-Exception-Code": "516"}
            )
            return
        options = {
            name: values[-1] for name, values in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()
        }
        if self.headers.get("Content-Encoding") == "lz4":
            body = lz4.frame.decompress(body)
        values = {name.removeprefix("param_"): value for name, value in options.items() if name.startswith("param_")}
        try:
            with self.lock:
                if "database" in options:
                    self.engine.query(f"USE `{options['database']}`")
                answer = self._answer(options, body, values)
        except Exception as error:  # noqa: BLE001 - chdb's own; its module may have been loaded twice, and its class with it
            code = re.search(r"Code: (\d+)", str(error))
            self._reply(500, str(error).encode(), {"X-ClickHouse-Exception-Code": code[1] if code else "1002"})
        else:
            self._reply(200, answer, {"X-ClickHouse-Format": "Native", "X-ClickHouse-Timezone": "UTC"})

    def _answer(self, options: dict[str, str], body: bytes, values: dict[str, str]) -> bytes:
        query = options.get("query")
        statement, _, rows = (query or "").encode(), b"", body
        if query is None:
            statement, _, rows = body.partition(b"FORMAT Native\n") if body.startswith(b"INSERT") else (body, b"", b"")
        text = statement.decode()
        if rows:
            with tempfile.NamedTemporaryFile(suffix=".native") as file:
                file.write(rows)
                file.flush()
                settings = ", ".join(
                    f"{name} = '{value}'" for name, value in options.items() if name in INSERT_SETTINGS
                )
                self.engine.query(
                    f"{text.removesuffix('FORMAT Native')} FROM INFILE '{file.name}' "
                    f"{'SETTINGS ' + settings if settings else ''} FORMAT Native"
                )
            return b""
        named = re.search(r"FORMAT\s+(\w+)\s*$", text)
        return bytes(self.engine.query(text, named[1] if named else "TabSeparated", params=values).bytes())

    def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class names it
        """Nobody reads it."""


@contextmanager
def clickhouse_over_http() -> Iterator[tuple[str, int]]:
    """A server on a free port of this machine; its address. It asks for :data:`USER` and :data:`PASSWORD`."""
    connect: Any = chdb.connect  # its own types say nothing
    engine = connect(":memory:")
    serving = type("Serving", (Handler,), {"engine": engine, "lock": Lock()})
    with ThreadingHTTPServer(("127.0.0.1", 0), serving) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield "127.0.0.1", server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
            engine.close()

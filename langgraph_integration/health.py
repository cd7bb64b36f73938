"""A worker's health over HTTP: is it alive, and is it at work?

``/healthz`` answers 200 while the event loop turns; ``/readyz`` answers 200 while the worker is a member of its group and
a broker answers. Both answer 503 otherwise, with a JSON body that says why.

The server is the standard library's, in a thread of its own, as Prometheus's client has it: an endpoint inside the event
loop could not say that the event loop is blocked.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from workflow_events.errors import ConfigurationError

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

    from langgraph_integration.partitions import HeldPartitions
    from langgraph_integration.worker_settings import WorkerSettings

__all__ = ["HealthEndpoint"]

log = logging.getLogger(__name__)

_PATIENCE = 3.0  # seconds that the event loop, and a broker, get to answer


class HealthEndpoint:
    """Serves a worker's health while the worker runs, where ``health_port`` is set.

    Attributes:
        port: the port served on; None while nothing is served.
    """

    def __init__(self, held: HeldPartitions, settings: WorkerSettings) -> None:
        self._held = held
        self._settings = settings
        self._consumer: AIOKafkaConsumer = None
        self.port: int | None = None

    @asynccontextmanager
    async def serving(self, consumer: AIOKafkaConsumer) -> AsyncIterator[None]:
        """Serve while inside.

        Raises:
            ConfigurationError: the address cannot be listened on.
        """
        if self._settings.health_port is None:
            yield
            return
        self._consumer = consumer
        address = (self._settings.health_host, self._settings.health_port)
        loop = asyncio.get_running_loop()
        try:
            server = ThreadingHTTPServer(address, lambda *args: _Handler(self, loop, *args))
        except OSError as error:
            raise ConfigurationError(
                f"The health endpoint cannot listen on {address[0]}:{address[1]} ({error.strerror}): set "
                "WORKFLOW_WORKER_HEALTH_PORT to a free port, or to 0"
            ) from error
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, name="health", kwargs={"poll_interval": 0.1})
        thread.start()
        self.port = server.server_address[1]
        log.info("Health endpoint at http://%s:%d/healthz and /readyz", address[0], self.port)
        try:
            yield
        finally:
            self.port = None
            await asyncio.to_thread(server.shutdown)
            server.server_close()
            thread.join()

    async def alive(self) -> dict[str, Any]:
        """What ``/healthz`` says."""
        return {"status": "ok", "in_hand": self._held.in_hand}

    async def ready(self) -> dict[str, Any]:
        """What ``/readyz`` says.

        Raises:
            Exception: the worker is not ready; the message says why.
        """
        if not self._held.assigned.is_set():
            raise RuntimeError("not a member of the consumer group at the moment")
        await self._consumer.topics()
        return {"status": "ok", "partitions": len(self._held.partitions), "in_hand": self._held.in_hand}


class _Handler(BaseHTTPRequestHandler):
    timeout = 10  # seconds that a client may be silent

    def __init__(self, health: HealthEndpoint, loop: asyncio.AbstractEventLoop, *args: Any) -> None:
        self._health = health
        self._loop = loop
        super().__init__(*args)

    def do_GET(self) -> None:
        checks = {"/healthz": self._health.alive, "/readyz": self._health.ready}
        check = checks.get(self.path.partition("?")[0])
        if check is None:
            self._reply(HTTPStatus.NOT_FOUND, {"status": "unknown path", "paths": list(checks)})
            return
        try:
            self._reply(HTTPStatus.OK, self._ask(check()))
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker is not well
            reason = str(error) or type(error).__name__
            self._reply(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "unavailable", "reason": reason})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        log.debug(format, *args)

    def _ask(self, question: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
        answer: Future[dict[str, Any]] = asyncio.run_coroutine_threadsafe(question, self._loop)
        try:
            return answer.result(_PATIENCE)
        except TimeoutError:
            answer.cancel()
            raise TimeoutError(
                f"no answer within {_PATIENCE:g} s: the event loop is blocked, or no broker answers"
            ) from None

    def _reply(self, status: HTTPStatus, body: dict[str, Any]) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

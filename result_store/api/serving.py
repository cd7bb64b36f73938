"""Serves the API, and the metrics on a port of their own, in the event loop of the caller."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from result_store.metrics import CONTENT_TYPE
from result_store.settings import variable
from workflow_events.errors import ConfigurationError, WorkflowEventsError
from workflow_events.task_groups import first_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from result_store.metrics import StoreMetrics
    from result_store.settings import StoreSettings

__all__ = ["HttpService"]

_GRACE_SECONDS: Final = 10
"""How long answers that have begun may take to end."""
_BACKLOG: Final = 2048


class HttpService:
    """The process's HTTP ports.

    Attributes:
        api_port: the port served on; None while nothing is served.
        metrics_port: likewise; None where the settings want no metrics.
    """

    def __init__(self, settings: StoreSettings, app: ASGIApp, metrics: StoreMetrics) -> None:
        self._settings = settings
        self._app = app
        self._metrics = metrics
        self.api_port: int | None = None
        self.metrics_port: int | None = None

    @property
    def url(self) -> str | None:
        """Where the API and the page are; None while nothing is served."""
        return None if self.api_port is None else _url(self._settings.api_host, self.api_port)

    @asynccontextmanager
    async def serving(self, *, on_stop: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
        """Serve while inside; at the end, let answers that have begun come to theirs.

        Args:
            on_stop: is called first then; it ends what has no end of its own, such as the live feed's streams.

        Raises:
            ConfigurationError: an address cannot be listened on.
            WorkflowEventsError: a server has ended by itself.
        """
        settings = self._settings
        with contextlib.ExitStack() as sockets:
            api = sockets.enter_context(_listening(settings.api_host, settings.api_port, "api"))
            served = [(self._app, api)]
            if settings.metrics and settings.metrics_port is not None:
                metrics = sockets.enter_context(_listening(settings.metrics_host, settings.metrics_port, "metrics"))
                served.append((_metrics_app(self._metrics), metrics))
                self.metrics_port = metrics.getsockname()[1]
            self.api_port = api.getsockname()[1]
            servers = [_Server(app) for app, _ in served]
            try:
                with first_error():
                    async with asyncio.TaskGroup() as tasks:
                        running = [
                            tasks.create_task(server.serve_until_told(listener), name="http-server")
                            for server, (_, listener) in zip(servers, served, strict=True)
                        ]
                        try:
                            for server in servers:
                                await server.is_up.wait()
                            yield
                        finally:
                            on_stop()
                            for server in servers:
                                server.should_exit = True
                            await asyncio.wait(running)  # in good order, whatever has ended the block
            finally:
                self.api_port = self.metrics_port = None


class _Server(uvicorn.Server):
    """A server that leaves the process's signals and its logs to the caller."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
                lifespan="on",
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self.is_up = asyncio.Event()

    async def serve_until_told(self, listener: socket.socket) -> None:
        await self.serve(sockets=[listener])
        if not self.should_exit:
            raise WorkflowEventsError("An HTTP server of the result store has ended by itself; its log says why.")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _metrics_app(metrics: StoreMetrics) -> Starlette:
    async def exposition(_: Request) -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE)

    return Starlette(routes=[Route("/metrics", exposition)])


@contextlib.contextmanager
def _listening(host: str, port: int, which: str) -> Iterator[socket.socket]:
    """A socket that listens."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {host}:{port} ({error.strerror or type(error).__name__}): set {variable(f'{which}_port')} to a "
            f"free port, or to 0, and {variable(f'{which}_host')} to an address of this machine"
        ) from error
    with listener:
        yield listener


def _url(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - only shown
    return f"http://{shown}:{port}"

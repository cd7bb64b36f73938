"""One request and its answer: its correlation id, its log line, its place in the metrics, and a last net for errors.

Plain ASGI, for Starlette's ``BaseHTTPMiddleware`` puts a task and a queue between a stream and its client.
"""

from __future__ import annotations

import logging
import re
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote
from uuid import uuid4

from result_store.api.problems import problem_response

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from result_store.metrics import StoreMetrics

__all__ = ["CORRELATION_HEADER", "CorrelationFilter", "Exchange", "ExchangeMiddleware", "clean_id", "exchange_of"]

logger = logging.getLogger(__name__)

CORRELATION_HEADER: Final = "X-Correlation-ID"
_RAW_CORRELATION_HEADER: Final = CORRELATION_HEADER.lower().encode()
_LONGEST_ID: Final = 128
_UNPRINTABLE: Final = re.compile(r"[^\x21-\x7e]")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UNKNOWN_ROUTE: Final = "unknown"

_current: ContextVar[str | None] = ContextVar("result_store_http_correlation_id", default=None)

_SECURITY_HEADERS: Final = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
"""As ASGI has them."""


@dataclass(slots=True)
class Exchange:
    """What is known of a request while it is answered.

    Attributes:
        correlation_id: what the caller calls the exchange, cleaned, or a new id.
        caller: who asks, for the log; None until that is known.
        headers: are added to the answer, whatever it is.
    """

    correlation_id: str
    caller: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


def clean_id(given: str | None) -> str:
    """A correlation id that can stand in a header and in a log line: at most 128 printable characters, none of them a space.

    Args:
        given: what the caller sent; where nothing is left of it, an id is made.
    """
    return _UNPRINTABLE.sub("", given or "")[:_LONGEST_ID] or str(uuid4())


def exchange_of(connection: HTTPConnection) -> Exchange:
    """The exchange that a request belongs to."""
    found: Exchange = connection.state.exchange
    return found


class CorrelationFilter(logging.Filter):
    """Gives each log record of an exchange its ``correlation_id``; add it to the handlers."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record, and name its exchange where it does not name one itself."""
        current = _current.get()
        if current is not None and not hasattr(record, "correlation_id"):
            record.correlation_id = current
        return True


class ExchangeMiddleware:
    """Sees to every exchange; the outermost of the application's own layers."""

    def __init__(self, app: ASGIApp, metrics: StoreMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(clean_id(_header(scope, _RAW_CORRELATION_HEADER)))
        scope.setdefault("state", {})["exchange"] = exchange
        token = _current.set(exchange.correlation_id)
        began = time.perf_counter()
        status = 0
        streams = False

        async def send_on(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                present = dict(message["headers"])
                added = [(_RAW_CORRELATION_HEADER, exchange.correlation_id.encode()), *_SECURITY_HEADERS]
                added += [(name.lower().encode(), value.encode("latin-1")) for name, value in exchange.headers.items()]
                message["headers"] = [*message["headers"], *(one for one in added if one[0] not in present)]
                if present.get(b"content-type", b"").startswith(b"text/event-stream"):
                    # How long a client watches is no latency.
                    streams = True
                    self._note(scope, exchange, status, time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except Exception:
            logger.exception("no answer to %s %s", _method(scope), quote(scope["path"]), extra=_extra(exchange))
            if status:
                raise  # the answer has begun; the server cuts the connection
            failed = problem_response(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "The store has failed, and it is not the request's fault. Its log says more, under the X-Correlation-ID of this "
                "answer.",
            )
            await failed(scope, receive, send_on)
        finally:
            if not streams:
                self._note(scope, exchange, status, time.perf_counter() - began)
            _current.reset(token)

    def _note(self, scope: Scope, exchange: Exchange, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", _UNKNOWN_ROUTE)
        self._metrics.answered(_method(scope), route, status, seconds)
        if not logger.isEnabledFor(logging.INFO):
            return
        logger.info(
            "%s %s: %d in %.1f ms",
            _method(scope),
            quote(scope["path"]),  # without the query
            status,
            seconds * 1000,
            extra={**_extra(exchange), "caller": exchange.caller, "status": status},
        )


def _extra(exchange: Exchange) -> dict[str, object]:
    return {"correlation_id": exchange.correlation_id}


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "other"


def _header(scope: Scope, wanted: bytes) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), None)

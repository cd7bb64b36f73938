"""Who asks, decided once for each request: by a key in a header, by the page's cookie, or nobody in particular."""

from __future__ import annotations

import contextlib
import ipaddress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.routing import APIRoute

from result_store.api.access import ANYBODY, Caller, check_service, narrowed
from result_store.api.exchange import exchange_of
from result_store.api.sessions import COOKIE
from result_store.errors import AccessRefusedError
from result_store.settings import variable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi import Request, Response
    from starlette.requests import HTTPConnection

    from result_store.api.keys import ApiKeys
    from result_store.api.rate_limit import RateLimit
    from result_store.api.sessions import Sessions
    from result_store.settings import StoreSettings

__all__ = [
    "KEY_HEADER",
    "SERVICE_HEADER",
    "TENANT_HEADER",
    "USER_HEADER",
    "Gate",
    "GuardedRoute",
    "caller_of",
    "gate_of",
]

KEY_HEADER: Final = "X-Internal-API-Key"
SERVICE_HEADER: Final = "X-Service-ID"
USER_HEADER: Final = "X-User-ID"
TENANT_HEADER: Final = "X-Tenant-ID"
_HEADERS: Final = {name.lower().encode(): name for name in (KEY_HEADER, SERVICE_HEADER, USER_HEADER, TENANT_HEADER)}
"""By what ASGI calls them."""


class Gate:
    """Lets callers in.

    Attributes:
        sessions: sign-ins at the page.
        open: whether everybody may ask.
    """

    def __init__(self, settings: StoreSettings, keys: ApiKeys, sessions: Sessions, rate: RateLimit) -> None:
        self.sessions = sessions
        self.open = settings.auth == "none"
        self._host = settings.api_host
        self._allowed = settings.allowed_services
        self._keys = keys
        self._rate = rate

    async def admit(self, connection: HTTPConnection) -> Caller:
        """Who asks, within their rate.

        Raises:
            AccessRefusedError: they may not (401, 403), or not so often (429).
            DatabaseError: the keys cannot be looked up.
        """
        exchange = exchange_of(connection)
        try:
            caller = await self.identify(connection)
        except AccessRefusedError:
            # Who guesses is counted by address; who has a key is not slowed by them.
            await self._count(connection, _address(connection))
            raise
        exchange.caller = caller.name
        await self._count(connection, caller.name)
        return caller

    async def identify(self, connection: HTTPConnection) -> Caller:
        """Who asks; as :meth:`admit`, and not counted."""
        named = _named(connection)
        if self.open:
            self._check_host(connection)
            who = ANYBODY
        elif KEY_HEADER not in named and COOKIE in connection.cookies:
            who = await self._signed_in(connection.cookies[COOKIE])
        else:
            key = await self._keys.verify(named.get(KEY_HEADER))
            check_service(named.get(SERVICE_HEADER), key.service, self._allowed)
            who = Caller(f"key:{key.key_id}", key.service, key.scope)
        scope = narrowed(who.scope, named.get(USER_HEADER), named.get(TENANT_HEADER))
        return Caller(who.name, who.service, scope)

    async def sign_in(self, connection: HTTPConnection, key_text: str) -> str:
        """Change a key for the token of a sign-in. Every try counts, by address.

        Raises:
            AccessRefusedError: the key is none of ours, or not in force any more (401), or there were too many tries (429).
            DatabaseError: the database refuses.
        """
        await self._count(connection, _address(connection))
        return await self.sessions.sign_in(key_text)

    async def _signed_in(self, token: str) -> Caller:
        key = await self.sessions.key_of(token)
        if key is None:
            raise AccessRefusedError("The sign-in has ended: sign in again.", status=HTTPStatus.UNAUTHORIZED)
        check_service(key.service, key.service, self._allowed)
        return Caller(f"key:{key.key_id}", key.service, key.scope)

    async def _count(self, connection: HTTPConnection, name: str) -> None:
        allowance = await self._rate.take(name)
        if allowance is None:
            return
        exchange_of(connection).headers.update(allowance.headers())
        if not allowance.allowed:
            raise AccessRefusedError(
                f"More than {allowance.limit} requests in {allowance.window} s: ask again after the seconds in Retry-After, or "
                f"have {variable('rate_limit')} raised, at the store.",
                status=HTTPStatus.TOO_MANY_REQUESTS,
            )

    def _check_host(self, connection: HTTPConnection) -> None:
        """Keeps a foreign page in a browser of this machine from asking by a name of its own that leads here (DNS rebinding)."""
        with contextlib.suppress(ValueError):  # neither a host that is none
            host = connection.url.hostname or ""
            if (
                host in {self._host, "localhost"}
                or host.endswith(".localhost")
                or ipaddress.ip_address(host).is_loopback
            ):
                return
        raise AccessRefusedError(
            f"With {variable('auth')}=none the store answers to the names of this machine alone: ask localhost, or have a proxy "
            "in front of it name localhost as the Host.",
            status=HTTPStatus.FORBIDDEN,
        )


def _address(connection: HTTPConnection) -> str:
    """Who asks without a key, for their rate."""
    return f"address:{connection.client.host if connection.client else ''}"


def gate_of(connection: HTTPConnection) -> Gate:
    """The gate of the application that a request came to."""
    gate: Gate = connection.app.state.gate
    return gate


class GuardedRoute(APIRoute):
    """A route that is not open to all: it lets callers in before it looks at what they ask.

    As a dependency, :meth:`Gate.admit` would have FastAPI look for parameters of a second function with each request, and there
    are none; :mod:`result_store.api.openapi` describes the headers.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        answer = super().get_route_handler()

        async def admit_and_answer(request: Request) -> Response:
            request.state.caller = await gate_of(request).admit(request)
            return await answer(request)

        return admit_and_answer


def caller_of(request: Request) -> Caller:
    """Who asks, at a :class:`GuardedRoute`; another has no caller to give."""
    caller: Caller = request.state.caller
    return caller


def _named(connection: HTTPConnection) -> dict[str, str]:
    """The headers that say who asks. Each may stand there once. Names of users may be other than ASCII, and then are UTF-8."""
    found: dict[str, str] = {}
    for raw, value in connection.scope["headers"]:
        name = _HEADERS.get(raw)
        if name is None:
            continue
        if name in found:
            raise AccessRefusedError(f"{name} stands there more than once: send it once.", status=HTTPStatus.FORBIDDEN)
        try:
            found[name] = value.decode()
        except UnicodeError:
            found[name] = value.decode("latin-1")
    return found

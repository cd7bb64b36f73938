"""Signing in to the page with an API key, and out again."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import parse_qs, urlsplit

from fastapi import Query, Request
from starlette.responses import RedirectResponse, Response

from result_store.api.auth import gate_of
from result_store.api.sessions import COOKIE
from result_store.errors import AccessRefusedError
from result_store.page.rendering import HEADERS, page
from result_store.page.viewer import HOME, Viewer, local_path
from result_store.page.views import SignInView

if TYPE_CHECKING:
    from fastapi import APIRouter

__all__ = ["signing_in", "viewer_of"]

_MOST_BYTES: Final = 8192
"""Of a form: a key and an address."""


async def viewer_of(request: Request) -> Viewer:
    """Who looks, by the cookie of a sign-in; where no keys are needed, anybody.

    Raises:
        AccessRefusedError: they are not signed in (401), or look too often (429).
        DatabaseError: the sign-ins cannot be looked up.
    """
    gate = gate_of(request)
    caller = await gate.admit(request)
    return Viewer(caller.service or caller.name, caller.scope, signed_in=not gate.open)


def signing_in(routes: APIRouter) -> None:
    """Add the addresses."""

    @routes.get("/sign-in")
    async def form(request: Request, next: Annotated[str | None, Query(max_length=4096)] = None) -> Response:  # noqa: A002 - in the address
        to = local_path(next)
        return _to(to) if gate_of(request).open else _form(to)

    @routes.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        gate = gate_of(request)
        fields = await _fields(request)
        to = local_path(fields.get("next"))
        if not _from_here(request):
            return _form(to, "The form was sent by another page: fill it in here.", HTTPStatus.FORBIDDEN)
        try:
            token = await gate.sign_in(request, fields.get("key", "").strip())
        except AccessRefusedError as error:
            return _form(to, _reason(error), error.status)
        answer = _to(to)
        gate.sessions.give(token, answer, request)
        return answer

    @routes.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        gate = gate_of(request)
        answer = _to("/sign-in")
        if _from_here(request):
            if COOKIE in request.cookies:
                await gate.sessions.sign_out(request.cookies[COOKIE])
            gate.sessions.take(answer)
        return answer


def _form(to: str, problem: str | None = None, status: int = HTTPStatus.OK) -> Response:
    view = SignInView(now=datetime.now(UTC), viewer=None, next=to, problem=problem)
    return page("sign_in.html.j2", {"view": view}, status=status)


def _to(path: str) -> Response:
    return RedirectResponse(path or HOME, HTTPStatus.SEE_OTHER, HEADERS)


def _reason(error: AccessRefusedError) -> str:
    if error.status == HTTPStatus.UNAUTHORIZED:
        return "This key does not open the store: it is mistyped, has ended or was revoked."
    return str(error)


def _from_here(request: Request) -> bool:
    """Whether a form was sent by a page of this host (OWASP: Cross-Site Request Forgery, "Verifying Origin").

    A browser says where a form stood; what is no browser sends neither header, and has no cookie to abuse.
    """
    if (site := request.headers.get("sec-fetch-site")) is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


async def _fields(request: Request) -> dict[str, str]:
    """The fields of a form; the first value of each. A form that is too large, or none, has no fields."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            return {}
    try:
        found = parse_qs(body.decode(), max_num_fields=10)
    except ValueError:
        return {}
    return {name: values[0] for name, values in found.items()}

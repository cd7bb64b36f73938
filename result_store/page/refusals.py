"""How the page says no: as a page, where the API answers with ``problem+json``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import RedirectResponse, Response

from result_store.errors import AccessRefusedError, InvalidCursorError, ResultStoreError
from result_store.page.rendering import HEADERS, page
from result_store.page.views import Frame, ProblemView

if TYPE_CHECKING:
    from starlette.requests import Request

    from result_store.page.viewer import Viewer

__all__ = ["NoPageError", "PageRoute", "for_everybody", "problem"]

logger = logging.getLogger(__name__)

_TITLES: Final = {
    HTTPStatus.FORBIDDEN: "Not for you",
    HTTPStatus.NOT_FOUND: "Not here",
    HTTPStatus.UNPROCESSABLE_ENTITY: "No such page",
    HTTPStatus.TOO_MANY_REQUESTS: "Too often",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not at the moment",
}


class NoPageError(ResultStoreError):
    """There is nothing to show; the message says so to whoever looks."""


class PageRoute(APIRoute):
    """A route whose errors become pages. Who is not signed in is sent to do so, and back again."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, guarded."""
        handler = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestValidationError:
                return problem(request, 422, "The address has something in it that this page does not take.")
            except ResultStoreError as error:
                return _refusal(request, error)

        return guarded


def for_everybody(frame: Frame) -> Frame:
    """The frame, of a viewer who sees everybody's.

    Raises:
        AccessRefusedError: the viewer sees one user's or tenant's alone (403).
    """
    if frame.viewer is None or not frame.viewer.sees_everybody:
        raise AccessRefusedError(
            "This page shows what belongs to all users, and your key is bound to one: sign in with one that is not.",
            status=HTTPStatus.FORBIDDEN,
        )
    return frame


def problem(request: Request, status: int, text: str) -> Response:
    """A page that says why there is no other."""
    viewer: Viewer | None = getattr(request.state, "viewer", None)
    view = ProblemView(
        now=datetime.now(UTC),
        viewer=viewer,
        status=status,
        title=_TITLES.get(HTTPStatus(status), HTTPStatus(status).phrase),
        text=text,
    )
    return page("problem.html.j2", {"view": view}, status=status)


def _refusal(request: Request, error: ResultStoreError) -> Response:
    match error:
        case AccessRefusedError(status=HTTPStatus.UNAUTHORIZED):
            return _to_sign_in(request)
        case AccessRefusedError(status=status):
            return problem(request, status, str(error))
        case NoPageError():
            return problem(request, 404, str(error))
        case InvalidCursorError():
            return problem(request, 422, "This part of the list cannot be found again: begin with the newest.")
        case _:
            # What another system said may hold what is not for everybody who looks.
            logger.error("cannot show a page: %s", error)
            text = "A part of the store does not answer. /readyz says which one; the store's log says why."
            return problem(request, 503, text)


def _to_sign_in(request: Request) -> Response:
    asked = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
    query = f"?{urlencode({'next': asked})}" if request.method == "GET" and asked != "/" else ""
    return RedirectResponse(f"/sign-in{query}", HTTPStatus.SEE_OTHER, HEADERS)

"""How the API says no: ``application/problem+json`` (RFC 9457), with what to do next.

Nothing that a caller has sent is in it, and nothing of what another system said.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from result_store.errors import (
    AccessRefusedError,
    ArchiveError,
    DatabaseError,
    InvalidCursorError,
    LiveFeedError,
    ResultStoreError,
    UnstorableError,
)
from workflow_events.errors import WorkflowEventsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

__all__ = ["PROBLEM_JSON", "FieldProblem", "NotFoundError", "Problem", "answer_problems", "problem_response"]

logger = logging.getLogger(__name__)

PROBLEM_JSON: Final = "application/problem+json"

_RETRY_SECONDS: Final = 5
_RETRY: Final = {"Retry-After": str(_RETRY_SECONDS)}
_WHAT_TO_DO: Final = {
    HTTPStatus.NOT_FOUND: "There is nothing at this path: /openapi.json names the paths that there are.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This path is not for this method: the header Allow names those that it is for.",
}


class FieldProblem(BaseModel):
    """What is wrong with one parameter.

    Attributes:
        field: where it stands and its name, such as ``query.limit``.
    """

    field: str
    message: str


class Problem(BaseModel):
    """Why there is no answer, and what to do (RFC 9457).

    Attributes:
        type: ``about:blank``: the status says what kind of problem it is.
        title: the status in words.
        detail: what failed, and what to do next.
        errors: of a request whose parameters do not hold.
    """

    model_config = ConfigDict(frozen=True)

    type: str = "about:blank"
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    errors: list[FieldProblem] | None = None


class NotFoundError(ResultStoreError):
    """What was asked for is not here, or not the caller's: which of the two is not told."""


def problem_response(
    status: int, detail: str, *, errors: list[FieldProblem] | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """A problem as an answer."""
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors)
    return Response(
        problem.model_dump_json(exclude_none=True), status, media_type=PROBLEM_JSON, headers=dict(headers or {})
    )


def answer_problems(app: FastAPI) -> None:
    """Have every error that a route raises answered with a problem."""
    app.add_exception_handler(WorkflowEventsError, _of_ours)
    app.add_exception_handler(RequestValidationError, _of_parameters)
    app.add_exception_handler(HTTPException, _of_framework)


async def _of_ours(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return _of_caller(error) or _of_store(error)


def _of_caller(error: Exception) -> Response | None:
    """What is the caller's to mend; None where it is not."""
    match error:
        case AccessRefusedError(status=status):
            headers = {"WWW-Authenticate": "ApiKey"} if status == HTTPStatus.UNAUTHORIZED else {}
            return problem_response(status, str(error), headers=headers)
        case NotFoundError():
            return problem_response(HTTPStatus.NOT_FOUND, str(error))
        case InvalidCursorError():
            return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        case UnstorableError():
            return problem_response(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "A parameter holds what no row can hold, such as the character NUL: leave it out.",
            )
        case _:
            return None


def _of_store(error: Exception) -> Response:
    """What is not."""
    if isinstance(error, LiveFeedError):
        return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers=_RETRY)
    if getattr(error, "retryable", False):
        logger.warning("cannot answer: %s", error)
        return problem_response(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"{_dependency(error)} does not answer at the moment. Ask again in {_RETRY_SECONDS} s; /readyz tells when it does.",
            headers=_RETRY,
        )
    logger.error("cannot answer: %s", error)
    return problem_response(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"{_dependency(error)} refuses, and asking again will not help. The store's log says why, under the "
        "X-Correlation-ID of this answer; /readyz names what is not well.",
    )


async def _of_parameters(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for these
    found = [
        FieldProblem(field=".".join(str(part) for part in one["loc"]), message=str(one["msg"]))
        for one in error.errors()
    ]
    named = ", ".join(sorted({one.field for one in found}))
    return problem_response(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"These parameters do not hold: {named}. What each must be is in errors, and in /openapi.json.",
        errors=found,
    )


async def _of_framework(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these
    status = HTTPStatus(error.status_code)
    return problem_response(status, _WHAT_TO_DO.get(status, status.description or status.phrase), headers=error.headers)


def _dependency(error: Exception) -> str:
    names: dict[type[Any], str] = {DatabaseError: "The database", ArchiveError: "The archive of whole messages"}
    return next((name for kind, name in names.items() if isinstance(error, kind)), "A part of the store")

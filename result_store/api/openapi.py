"""The OpenAPI document: FastAPI's, with what FastAPI does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi.openapi.utils import get_openapi

from result_store.api.exchange import CORRELATION_HEADER
from result_store.api.problems import Problem

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["describe"]

_NOT_OURS: Final = ("HTTPValidationError", "ValidationError")
"""FastAPI's own shape of errors, in whose place there is the problem."""

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer", "minimum": 0}
_ECHO: Final = {
    CORRELATION_HEADER: {"description": "As it was sent, cleaned; made where there was none.", "schema": _TEXT}
}
_RATE: Final = {
    "RateLimit-Limit": {"description": "Requests in a window.", "schema": _NUMBER},
    "RateLimit-Remaining": {"description": "Requests that are left of it.", "schema": _NUMBER},
    "RateLimit-Reset": {"description": "Seconds until there are more.", "schema": _NUMBER},
    "RateLimit-Policy": {"description": "The limit, and its window in seconds.", "schema": _TEXT},
}
_RETRY: Final = {"Retry-After": {"description": "Seconds to wait before asking again.", "schema": _NUMBER}}
_WITH_RETRY: Final = frozenset({"429", "503"})


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for unused in _NOT_OURS:
            schemas.pop(unused, None)
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs", {}))
        schemas["Problem"] = problem
        for path in document["paths"].values():
            for operation in path.values():
                _add_headers(operation)
        app.openapi_schema = document
    return app.openapi_schema


def _add_headers(operation: dict[str, Any]) -> None:
    for status, response in operation["responses"].items():
        headers = dict(_ECHO)
        if "security" in operation:
            headers |= _RATE | (_RETRY if status in _WITH_RETRY else {})
        response["headers"] = headers

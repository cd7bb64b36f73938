"""The OpenAPI document: FastAPI's, with what FastAPI does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi.openapi.utils import get_openapi

from result_store.api.auth import KEY_HEADER, SERVICE_HEADER, TENANT_HEADER, USER_HEADER
from result_store.api.exchange import CORRELATION_HEADER
from result_store.api.problems import Problem
from result_store.api.sessions import COOKIE

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
_SECURITY: Final[list[dict[str, list[str]]]] = [{"ApiKey": []}, {"Session": []}]
_SCHEMES: Final = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": KEY_HEADER},
    "Session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "A sign-in at the page."},
}
_CALLER: Final = {
    SERVICE_HEADER: "The service that the key was made for; needed with a key.",
    USER_HEADER: "See this user's requests alone.",
    TENANT_HEADER: "See this tenant's requests alone.",
}
_GUARDED: Final = "/internal/"
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
        document["components"]["securitySchemes"] = _SCHEMES
        for path, operations in document["paths"].items():
            for operation in operations.values():
                if path.startswith(_GUARDED):
                    _add_caller(operation)
                _add_headers(operation)
        app.openapi_schema = document
    return app.openapi_schema


def _add_caller(operation: dict[str, Any]) -> None:
    """What every route takes that is not open to all. FastAPI would parse parameters of the routes for nothing."""
    operation["security"] = _SECURITY
    operation.setdefault("parameters", []).extend(
        {"name": name, "in": "header", "required": False, "description": said, "schema": _TEXT}
        for name, said in _CALLER.items()
    )


def _add_headers(operation: dict[str, Any]) -> None:
    for status, response in operation["responses"].items():
        headers = dict(_ECHO)
        if "security" in operation:
            headers |= _RATE | (_RETRY if status in _WITH_RETRY else {})
        response["headers"] = headers

"""What every route needs: the parts, its answer's bytes, and the description of its problems."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Query
from pydantic_core import to_json
from starlette.responses import Response

from result_store.api.problems import PROBLEM_JSON

if TYPE_CHECKING:
    from pydantic import BaseModel
    from starlette.requests import HTTPConnection

    from result_store.api.parts import ApiParts
    from result_store.records import Scope

__all__ = ["Cursor", "Limit", "json_response", "parts_of", "problems", "scope_key"]

_MEANINGS: Final = {
    401: "There is no API key, or it is not in force.",
    403: "The caller may not see this.",
    404: "It is not here, or it is another's.",
    422: "A parameter does not hold.",
    429: "The caller asks too often; Retry-After says when to ask again.",
    503: "A part of the store does not answer.",
}
_ALWAYS: Final = (401, 403, 422, 429, 503)

Limit = Annotated[int, Query(ge=1, le=500, description="The most items of one page.")]
Cursor = Annotated[str | None, Query(max_length=4096, description="`next` of the page before; absent: the first page.")]


def parts_of(connection: HTTPConnection) -> ApiParts:
    """The parts of the application that a request came to."""
    parts: ApiParts = connection.app.state.parts
    return parts


def json_response(answer: BaseModel | bytes) -> Response:
    """An answer, which is no one else's to keep."""
    body = answer if isinstance(answer, bytes) else answer.model_dump_json().encode()
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def problems(*more: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for OpenAPI.

    Args:
        *more: statuses beyond those that every route may have.
    """
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _MEANINGS[status], "content": content} for status in sorted({*_ALWAYS, *more})}


def scope_key(scope: Scope) -> str:
    """A scope as part of an answer's key in the cache: what one may see must never be shown to another."""
    # By digest: names may hold anything, and be long.
    return hashlib.blake2b(to_json([scope.user_id, scope.tenant_id]), digest_size=16).hexdigest()

"""What became of one request."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from result_store.api.answers import json_response, parts_of, problems, scope_key
from result_store.api.auth import GuardedRoute, caller_of
from result_store.api.problems import NotFoundError
from result_store.errors import ArchiveError
from result_store.records import RunRecord
from result_store.settings import variable
from workflow_events.wire import decode_result

if TYPE_CHECKING:
    from result_store.api.parts import ApiParts
    from result_store.records import Scope

__all__ = ["find_run", "router"]

router = APIRouter(prefix="/internal/v1/results", tags=["results"], route_class=GuardedRoute)

_NOT_FOUND: Final = (
    "There is no request {correlation_id} here that you may see: check the id, and whose it is. Where it was published just now, "
    "ask again; `workflow-events explain {correlation_id}` says where it is."
)


class WholeMessage(StrEnum):
    """Which of a request's messages."""

    RESULT = "result"
    REQUEST = "request"


@router.get("/{correlation_id}", response_model=RunRecord, responses=problems(404), summary="What became of a request")
async def result(correlation_id: UUID, request: Request) -> Response:
    """The request's state, its result or error, and its timeline."""
    parts, scope = parts_of(request), caller_of(request).scope
    key = f"run:{correlation_id}:{scope_key(scope)}"
    known = await parts.cache.get(key)
    if known is not None:
        return json_response(known)
    answer = (await find_run(parts, correlation_id, scope)).model_dump_json().encode()
    await parts.cache.put(key, answer, owner=str(correlation_id))
    return json_response(answer)


@router.get(
    "/{correlation_id}/raw",
    response_class=Response,
    responses={
        **problems(404),
        200: {
            "description": "The message's value, as it was published.",
            "content": {"application/json": {"schema": {}}},
        },
    },
    summary="A request's message, whole",
)
async def raw(correlation_id: UUID, request: Request, message: WholeMessage = WholeMessage.RESULT) -> Response:
    """The message as it lies in the archive: every field, also those that the store has no use for."""
    parts = parts_of(request)
    run = await _run(parts, correlation_id, caller_of(request).scope)
    key = run.result_archive_key if message is WholeMessage.RESULT else run.request_archive_key
    if key is None:
        raise NotFoundError(
            f"The {message.value} of {correlation_id} has not come yet, or whole messages are not kept "
            f"({variable('archive')}=none): the request's state says which."
        )
    return json_response(await _archived(parts, key))


async def find_run(parts: ApiParts, correlation_id: UUID, scope: Scope) -> RunRecord:
    """A request with its result, also where that is too large for its row and lies in the archive alone.

    Raises:
        NotFoundError: it is not here, or not the caller's.
        ArchiveError: the archive does not have the result, or does not answer.
        DatabaseError: the database does not answer.
    """
    run = await _run(parts, correlation_id, scope)
    if run.status is None or run.result is not None or run.result_archive_key is None:
        return run
    event = decode_result(await _archived(parts, run.result_archive_key))
    if event.claim_check is not None:
        return run  # its payload could not be had when it was stored: that is no empty result
    return run.model_copy(update={"result": event.result})


async def _run(parts: ApiParts, correlation_id: UUID, scope: Scope) -> RunRecord:
    run = await parts.database.queries.run(correlation_id, scope)
    if run is None:
        raise NotFoundError(_NOT_FOUND.format(correlation_id=correlation_id))
    return run


async def _archived(parts: ApiParts, key: str) -> bytes:
    if parts.archive is None:
        raise ArchiveError(
            f"{key!r} is in an archive, and this process has none: set {variable('archive')} to where it was kept."
        )
    return await parts.archive.get(key)

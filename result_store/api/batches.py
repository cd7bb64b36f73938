"""Requests that belong together: those of one ``workflow_run_id``."""

# ruff: noqa: TC002 - FastAPI reads the annotations of routes while the program runs
from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from result_store.api.access import of_user
from result_store.api.answers import Cursor, Limit, json_response, parts_of, problems, scope_key
from result_store.api.auth import GuardedRoute, caller_of
from result_store.api.problems import NotFoundError
from result_store.records import BatchStatus, BatchSummary, Page

__all__ = ["router"]

router = APIRouter(prefix="/internal/v1/batches", tags=["batches"], route_class=GuardedRoute)


@router.get("", response_model=Page[BatchSummary], responses=problems(), summary="Batches, the newest first")
async def batches(
    request: Request,
    user_id: Annotated[str | None, Query(min_length=1, max_length=1024, description="Of this user alone.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Each batch with its requests counted; of those that the caller may see."""
    scope = caller_of(request).scope
    if user_id is not None:
        scope = of_user(scope, user_id)
    found = await parts_of(request).database.queries.batches(scope, limit=limit, cursor=cursor)
    return json_response(found)


@router.get(
    "/user/{user_id}",
    response_model=Page[BatchSummary],
    responses=problems(),
    summary="A user's batches, the newest first",
)
async def batches_of_user(
    user_id: Annotated[str, Path(min_length=1, max_length=1024)],
    request: Request,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Each batch with this user's requests counted."""
    parts = parts_of(request)
    scope = of_user(caller_of(request).scope, user_id)
    key = f"batches:{scope_key(scope)}:{limit}:{cursor or ''}"
    known = await parts.cache.get(key)
    if known is not None:
        return json_response(known)
    found = await parts.database.queries.batches(scope, user_id=user_id, limit=limit, cursor=cursor)
    answer = found.model_dump_json().encode()
    await parts.cache.put(key, answer, owner=user_id)
    return json_response(answer)


@router.get(
    "/{workflow_run_id:path}/status",
    response_model=BatchStatus,
    responses=problems(404),
    summary="A batch, and each of its requests",
)
async def batch_status(
    workflow_run_id: Annotated[str, Path(min_length=1, max_length=1024)],
    request: Request,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Counts by state and by phase, and the requests themselves, a page at a time."""
    parts, scope = parts_of(request), caller_of(request).scope
    key = f"batch:{scope_key(scope)}:{limit}:{cursor or ''}:{workflow_run_id}"
    known = await parts.cache.get(key)
    if known is not None:
        return json_response(known)
    answer = await parts.database.queries.batch_status_json(workflow_run_id, scope, limit=limit, cursor=cursor)
    if answer is None:
        raise NotFoundError(
            "There is no batch with this workflow_run_id here that you may see: check the id, and whose it is."
        )
    await parts.cache.put(key, answer, owner=workflow_run_id)
    return json_response(answer)

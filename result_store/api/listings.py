"""Lists: requests by where they stand, and what could not be read or was given up."""

# ruff: noqa: TC002 - FastAPI reads the annotations of routes while the program runs
from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from result_store.api.access import check_unbound
from result_store.api.answers import Cursor, Limit, json_response, parts_of, problems
from result_store.api.auth import GuardedRoute, caller_of
from result_store.records import DeadLetterRecord, InvalidMessageRecord, Page, RunState, RunSummary

__all__ = ["router"]

router = APIRouter(prefix="/internal/v1", tags=["lists"], route_class=GuardedRoute)


@router.get("/runs", response_model=Page[RunSummary], responses=problems(), summary="Requests, the newest first")
async def runs(
    request: Request,
    state: Annotated[list[RunState] | None, Query(description="Only those that stand there; any of several.")] = None,
    workflow_id: Annotated[
        str | None, Query(min_length=1, max_length=1024, description="Only of this workflow.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Those that the caller may see."""
    found = await parts_of(request).database.queries.runs(
        caller_of(request).scope, states=state, workflow_id=workflow_id, limit=limit, cursor=cursor
    )
    return json_response(found)


@router.get(
    "/invalid-messages",
    response_model=Page[InvalidMessageRecord],
    responses=problems(),
    summary="Messages that are none, the newest first",
)
async def invalid_messages(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """What could not be read, or was not signed, or the database would not take. Only for who may see everybody's."""
    check_unbound(caller_of(request).scope)
    return json_response(await parts_of(request).database.queries.invalid_messages(limit=limit, cursor=cursor))


@router.get(
    "/dead-letters",
    response_model=Page[DeadLetterRecord],
    responses=problems(),
    summary="Messages that workers have given up, the newest first",
)
async def dead_letters(request: Request, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """`workflow-events dlq` shows them whole and replays them. Only for who may see everybody's."""
    check_unbound(caller_of(request).scope)
    return json_response(await parts_of(request).database.queries.dead_letters(limit=limit, cursor=cursor))

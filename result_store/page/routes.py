"""The addresses of the page. Each reads what it shows within the viewer's scope; :mod:`result_store.page.views` lays it out."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from result_store.page.chart_view import Answers, charts_view
from result_store.page.charts import window_named
from result_store.page.refusals import NoPageError, PageRoute, for_everybody
from result_store.page.rendering import HEADERS, asset, page
from result_store.page.signing_in import signing_in, viewer_of
from result_store.page.states import IN_FLIGHT
from result_store.page.views import (
    Frame,
    batch_view,
    batches_view,
    in_flight_view,
    invalid_view,
    letters_view,
    run_view,
    runs_view,
)
from result_store.records import RunState

if TYPE_CHECKING:
    from result_store.api.parts import ApiParts
    from result_store.records import RunRecord

__all__ = ["router"]

_ROWS: Final = 50
_ROWS_IN_FLIGHT: Final = 100
_LONGEST_NAME: Final = 1024

Cursor = Annotated[str | None, Query(max_length=1000)]
Name = Annotated[str | None, Query(max_length=_LONGEST_NAME)]


def router(parts: ApiParts) -> APIRouter:
    """The page, to be included at ``/``. It is no part of the API, so OpenAPI does not describe it."""
    routes = APIRouter(include_in_schema=False, route_class=PageRoute)
    _add_lists(routes, parts)
    _add_batches(routes, parts)
    _add_run(routes, parts)
    _add_given_up(routes, parts)
    _add_charts(routes, parts)
    signing_in(routes)

    @routes.get("/assets/{digest}/{name}")
    async def asset_file(digest: str, name: str) -> Response:  # noqa: ARG001 - the digest is for the browser's memory
        found = asset(name)
        if found is None:
            raise NoPageError("There is no such file.")
        return found

    return routes


def _add_lists(routes: APIRouter, parts: ApiParts) -> None:
    queries = parts.database.queries

    @routes.get("/")
    async def in_flight(request: Request, cursor: Cursor = None) -> Response:
        frame = await _frame(request, "flight")
        found = await queries.runs(frame.scope, states=IN_FLIGHT, limit=_ROWS_IN_FLIGHT, cursor=cursor)
        counts = await queries.count_by_state(frame.scope, states=IN_FLIGHT)
        return page("in_flight.html.j2", {"view": in_flight_view(frame, found, counts, cursor=cursor)})

    @routes.get("/runs")
    async def runs(
        request: Request,
        state: Annotated[list[str] | None, Query()] = None,
        workflow: Name = None,
        cursor: Cursor = None,
    ) -> Response:
        frame = await _frame(request, "runs")
        # What is no state is not looked for: an address from a newer page still shows something.
        chosen = frozenset(RunState(name) for name in state or () if name in set(RunState))
        name = _text(workflow)
        found = await queries.runs(
            frame.scope, states=sorted(chosen) or None, workflow_id=name, limit=_ROWS, cursor=cursor
        )
        view = runs_view(frame, found, chosen=chosen, workflow=name, cursor=cursor)
        return page("runs.html.j2", {"view": view})


def _add_batches(routes: APIRouter, parts: ApiParts) -> None:
    queries = parts.database.queries

    @routes.get("/batches")
    async def batches(request: Request, cursor: Cursor = None) -> Response:
        frame = await _frame(request, "batches")
        found = await queries.batches(frame.scope, limit=_ROWS, cursor=cursor)
        return page("batches.html.j2", {"view": batches_view(frame, found, cursor=cursor)})

    @routes.get("/batch")
    async def batch(request: Request, id: Name = None, cursor: Cursor = None) -> Response:  # noqa: A002 - in the address
        frame = await _frame(request, "batches")
        name = _text(id)
        found = None
        if name:
            found = await queries.batch_status(name, frame.scope, limit=_ROWS, cursor=cursor)
        if found is None:
            raise NoPageError("The store knows of no request with this workflow_run_id, or of none that you may see.")
        return page("batch.html.j2", {"view": batch_view(frame, found, cursor=cursor)})

    @routes.get("/find")
    async def find(request: Request, id: Name = None) -> Response:  # noqa: A002 - in the address
        frame = await _frame(request, "")
        name = _text(id)
        if not name:
            return RedirectResponse("/", HTTPStatus.SEE_OTHER, HEADERS)
        key = _as_uuid(name)
        if key is not None and await queries.run(key, frame.scope) is not None:
            return RedirectResponse(f"/runs/{key}", HTTPStatus.SEE_OTHER, HEADERS)
        if await queries.batch_status(name, frame.scope, limit=1) is not None:
            return RedirectResponse(f"/batch?id={quote(name, safe='')}", HTTPStatus.SEE_OTHER, HEADERS)
        raise NoPageError("The store knows of no request and no batch of this name, or of none that you may see.")


def _add_run(routes: APIRouter, parts: ApiParts) -> None:
    async def known_run(frame: Frame, name: str) -> RunRecord:
        key = _as_uuid(name)
        run = None if key is None else await parts.database.queries.run(key, frame.scope)
        if run is None:
            raise NoPageError(
                "The store knows of no request with this correlation id, or you may not see it. workflow-events explain looks "
                "for it on the topics too."
            )
        return run

    @routes.get("/runs/{correlation_id}")
    async def one_run(request: Request, correlation_id: str) -> Response:
        frame = await _frame(request, "runs")
        return page("run.html.j2", {"view": run_view(frame, await known_run(frame, correlation_id))})

    @routes.get("/runs/{correlation_id}/archive/{which}")
    async def archived(request: Request, correlation_id: str, which: Literal["request", "result"]) -> Response:
        frame = await _frame(request, "runs")
        run = await known_run(frame, correlation_id)
        key = run.request_archive_key if which == "request" else run.result_archive_key
        if key is None or parts.archive is None:
            raise NoPageError("The archive does not hold this message.")
        # Always a file to be kept: what strangers wrote is never shown as a page of this host.
        name = f'attachment; filename="{run.correlation_id}.{which}.json"'
        body = await parts.archive.get(key)
        return Response(body, media_type="application/json", headers={**HEADERS, "Content-Disposition": name})


def _add_given_up(routes: APIRouter, parts: ApiParts) -> None:
    queries = parts.database.queries

    @routes.get("/dead-letters")
    async def dead_letters(request: Request, cursor: Cursor = None) -> Response:
        frame = for_everybody(await _frame(request, "letters"))
        found = await queries.dead_letters(limit=_ROWS, cursor=cursor)
        return page("letters.html.j2", {"view": letters_view(frame, found, cursor=cursor)})

    @routes.get("/invalid-messages")
    async def invalid_messages(request: Request, cursor: Cursor = None) -> Response:
        frame = for_everybody(await _frame(request, "letters"))
        found = await queries.invalid_messages(limit=_ROWS, cursor=cursor)
        return page("letters.html.j2", {"view": invalid_view(frame, found, cursor=cursor)})


def _add_charts(routes: APIRouter, parts: ApiParts) -> None:
    @routes.get("/charts")
    async def charts(request: Request, window: Annotated[str | None, Query(max_length=20)] = None) -> Response:
        frame = for_everybody(await _frame(request, "charts"))
        questions = parts.analytics
        if questions is None:
            raise NoPageError("This store answers no questions about many runs.")
        chosen = window_named(window)
        since = chosen.since(frame.now)
        until = since + chosen.length
        answers = Answers(
            statuses=await questions.status_over_time(since, until, chosen.bucket),
            latencies=await questions.latency_over_time(since, until, chosen.bucket),
            slowest=await questions.slowest_steps(since, until, limit=8),
            failing=await questions.most_failing_steps(since, until, limit=8),
        )
        return page("charts.html.j2", {"view": charts_view(frame, chosen, answers)})


async def _frame(request: Request, tab: str) -> Frame:
    viewer = await viewer_of(request)
    request.state.viewer = viewer  # for the page that says what went wrong afterwards
    return Frame(now=datetime.now(UTC), viewer=viewer, tab=tab)


def _text(text: str | None) -> str | None:
    """A name as the store keeps it; None for an empty one."""
    return (text or "").strip().replace("\x00", "\ufffd") or None


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None

"""The page's answers without a browser: lists that come in pages, charts over both databases, and how it says no."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from result_store.analytics.sql_questions import SqlQuestions
from result_store.api.app import create_app
from result_store.api.sessions import COOKIE
from tests.integration.store.api.some_api import (
    SomeApi,
    dead_letter,
    invalid_message,
    request_of,
    result_of,
    some_api,
)
from workflow_events.events import ResultStatus
from workflow_events.testing.postgres import PostgresServer

_numbers = count()


@pytest.fixture(params=["sqlite", "postgresql"])
async def api(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SomeApi]:
    """Yield one that everybody on this machine may look at."""
    options: dict[str, Any] = {}
    if request.param == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        options["database_url"] = postgres.create_database(f"page_{os.getpid()}_{next(_numbers)}")
    async with some_api(tmp_path, auth="none", **options) as api:
        yield api


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[SomeApi]:
    """Yield one that wants keys, on SQLite."""
    async with some_api(tmp_path) as api:
        yield api


async def test_a_list_is_read_to_its_end_by_its_links_and_each_run_stands_there_once(api: SomeApi) -> None:
    # Given more runs than one page holds, whose batch has a name that means something in an address
    batch = "a/b?c&cursor=#+ %"
    requests = [request_of(number, batch=batch) for number in range(1, 121)]
    await api.store(*requests, *[result_of(request) for request in requests[:70]])

    # When the links to older ones are followed, by state, over all of it and within the batch
    for first, expected in (
        ("/runs", range(1, 121)),
        ("/runs?state=success&workflow=scoring", range(1, 71)),
        ("/", range(71, 121)),
        (f"/batch?id={quote(batch)}", range(1, 121)),
    ):
        seen: list[UUID] = []
        path: str | None = first
        while path is not None:
            page = await api.get(path)
            assert page.status_code == 200
            seen += [UUID(found) for found in re.findall(r'class="name" href="/runs/([0-9a-f-]+)"', page.text)]
            link = re.search(r'<a class="button" href="([^"]+)" rel="next"', page.text)
            path = unescape(link[1]) if link else None

        # Then each stands there once
        assert sorted(seen) == [UUID(int=number) for number in expected], first


async def test_the_charts_show_what_the_database_holds(api: SomeApi) -> None:
    # Given a success, a failure and an error of this morning, on whichever database
    requests = [request_of(number) for number in range(1, 4)]
    results = [result_of(request, status=ResultStatus(word)) for request, word in zip(requests, _WORDS, strict=True)]
    await api.store(*requests, *results, dead_letter(), invalid_message())
    app = create_app(replace(api.parts, analytics=SqlQuestions(api.parts.database.engine)))
    transport = httpx.ASGITransport(app)
    # The window that holds them whenever this test runs: the widest, or none
    old = datetime.now(UTC) - requests[0].event.timestamp > timedelta(days=29)

    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for window in ("1 h", "24 h", "7 d", "30 d", "whatever"):
            page = await client.get("/charts", params={"window": window})
            assert page.status_code == 200
        page = await client.get("/charts", params={"window": "30 d"})

    if old:
        assert "Nothing in this span" in page.text
    else:
        assert "1 success, 1 failure, 1 error" in page.text
        assert "67 % over all" in page.text


_WORDS = ("success", "failure", "error")


@pytest.mark.parametrize(
    "path,status,says",
    [
        ("/runs/none", 404, "knows of no request"),
        ("/runs/00000000-0000-0000-0000-000000000009", 404, "workflow-events explain"),
        ("/runs/00000000-0000-0000-0000-000000000001/archive/result", 404, "does not hold"),
        ("/runs/00000000-0000-0000-0000-000000000001/archive/other", 422, "does not take"),
        ("/batch", 404, "no request with this workflow_run_id"),
        ("/batch?id=%00", 404, "no request with this workflow_run_id"),
        ("/find?id=nothing", 404, "of this name"),
        ("/runs?cursor=rubbish", 422, "begin with the newest"),
        (f"/runs?workflow={'x' * 2000}", 422, "does not take"),
        ("/assets/0/page.html", 404, "no such file"),
        ("/assets/0/..%2Frendering.py", 404, ""),
        ("/charts", 404, "no questions"),
    ],
)
async def test_what_is_not_there_is_told_by_a_page_with_a_way_on(
    tmp_path: Path, path: str, status: int, says: str
) -> None:
    async with some_api(tmp_path, auth="none") as api:
        await api.store(request_of(1))

        answer = await api.get(path)

        assert answer.status_code == status
        if says:
            assert says in answer.text
            assert '<a class="button" href="/">' in answer.text
            assert answer.headers["content-type"].startswith("text/html")


async def test_a_database_that_fails_is_told_without_its_words(
    guarded: SomeApi, caplog: pytest.LogCaptureFixture
) -> None:
    token = await guarded.app.state.gate.sessions.sign_in(await guarded.keys.create("page"))
    async with guarded.parts.database.engine.begin() as connection:
        await connection.execute(text("DROP TABLE runs"))

    answer = await guarded.get("/", {"Cookie": f"{COOKIE}={token}"})

    assert answer.status_code == 503
    assert "/readyz" in answer.text
    assert "no such table" not in answer.text
    assert "cannot show a page" in caplog.text


async def test_a_sign_in_is_only_taken_from_a_page_of_this_host_and_leads_nowhere_else(guarded: SomeApi) -> None:
    key = await guarded.keys.create("page")
    form = {"key": f" {key}\n", "next": "//elsewhere.example/"}
    sign_in = guarded.client.post

    # A form on another site, of whatever browser, opens nothing
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil"}):
        refused = await sign_in("/sign-in", data=form, headers=headers)
        assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)
    # Nor does a form that is none, or far too long
    for body in (b"", b"\xff\xfe", b"key=" + b"x" * 100_000, b"&".join([b"a=b"] * 100)):
        refused = await sign_in("/sign-in", content=body)
        assert (refused.status_code, "set-cookie" in refused.headers) == (401, False)

    # The page's own does
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}):
        taken = await sign_in("/sign-in", data=form, headers=headers)
        assert (taken.status_code, taken.headers["location"]) == (303, "/")
        assert "HttpOnly" in taken.headers["set-cookie"]
    # And another site's cannot sign anybody out
    await sign_in("/sign-out", headers={"Sec-Fetch-Site": "cross-site"})
    assert (await guarded.get("/runs")).status_code == 200
    assert (await sign_in("/sign-out")).headers["location"] == "/sign-in"
    assert (await guarded.get("/runs")).headers["location"] == "/sign-in?next=%2Fruns"


async def test_keys_cannot_be_tried_without_end(tmp_path: Path) -> None:
    async with some_api(tmp_path, rate_limit="3/minute") as api:
        key = await api.keys.create("page")

        tries = [await api.client.post("/sign-in", data={"key": f"{key[:-1]}!"}) for _ in range(4)]

        assert [answer.status_code for answer in tries] == [401, 401, 401, 429]
        assert "Retry-After" in tries[-1].headers


async def test_where_everybody_may_look_nobody_signs_in(tmp_path: Path) -> None:
    async with some_api(tmp_path, auth="none") as api:
        assert (await api.get("/sign-in?next=/runs")).headers["location"] == "/runs"
        page = await api.get("/")
        assert "Sign out" not in page.text
        # A foreign page in a browser of this machine cannot read it by a name of its own
        assert (await api.get("/", {"Host": "rebound.example"})).status_code == 403

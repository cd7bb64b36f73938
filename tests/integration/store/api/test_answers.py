"""What the API answers, over a real database and archive, and whether it holds to what it describes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from result_store.api.problems import Problem
from tests.integration.store.api.some_api import SomeApi, request_of, result_of, some_api
from workflow_events.events import ResultStatus
from workflow_events.wire import decode_result

ONE = UUID(int=1)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[SomeApi]:
    async with some_api(tmp_path, auth="none") as made:
        yield made


async def test_an_answer_from_the_cache_is_forgotten_with_the_write_that_makes_it_old(api: SomeApi) -> None:
    # Given: answers of a running request, of its batch and its user, each asked for twice
    request = request_of(1, user="ada", batch="a/b c")
    paths = (f"/internal/v1/results/{ONE}", "/internal/v1/batches/a/b c/status", "/internal/v1/batches/user/ada")
    await api.store(request)
    api.settle()
    before = [(await api.get(path)).text for path in paths for _ in range(2)]
    assert before[::2] == before[1::2]
    assert 'result_store_cache_requests_total{outcome="hit"} 3.0' in api.parts.metrics.exposition().decode()

    # When: its result is stored
    await api.store(result_of(request))

    # Then: all three tell of it at once
    run, batch, listed = [(await api.get(path)).json() for path in paths]
    assert (run["state"], run["result"]) == ("success", {"answer": 42})
    assert (batch["by_state"], batch["by_phase"]) == ({"success": 1}, {"finished": 1})
    assert listed["items"][0]["by_state"] == {"success": 1}


async def test_a_result_too_large_for_its_row_is_read_from_the_archive(tmp_path: Path) -> None:
    async with some_api(tmp_path, auth="none", inline_result_bytes=100) as api:
        # Given: a result that lies in the archive alone
        large = {"text": "x" * 5000, "nul": "\0", "list": [1, None]}
        request = request_of(1)
        fact = result_of(request, large)
        await api.store(request, fact)
        row = await api.parts.database.queries.run(ONE)
        assert row is not None
        assert row.result is None

        # When / Then: it is answered whole all the same, and so are the messages
        answer = (await api.get(f"/internal/v1/results/{ONE}")).json()
        assert answer["result"] == large
        raw = await api.get(f"/internal/v1/results/{ONE}/raw")
        assert (raw.content, raw.headers["content-type"]) == (fact.raw, "application/json")
        assert decode_result(raw.content) == fact.event
        whole = await api.get(f"/internal/v1/results/{ONE}/raw?message=request")
        assert whole.content == request.raw

        # And: where the archive has lost it, nobody is told that there is no result
        await api.parts.cache.close()
        _empty(tmp_path / "archive")
        lost = await api.get(f"/internal/v1/results/{ONE}")
        assert (lost.status_code, str(tmp_path) in lost.text) == (503, False)


async def test_lists_come_in_pages_that_miss_and_repeat_nothing(api: SomeApi) -> None:
    requests = [request_of(number, user="ada", batch=f"batch-{number % 3}") for number in range(1, 10)]
    await api.store(*requests, *(result_of(one, status=ResultStatus.FAILURE) for one in requests[::2]))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await api.get("/internal/v1/runs", params={"limit": 4, **cursor})).json()
        seen += [item["correlation_id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert sorted(seen) == [str(one.correlation_id) for one in requests]
    failed = (await api.get("/internal/v1/runs?state=failure&state=error&limit=500")).json()["items"]
    assert len(failed) == 5
    assert len((await api.get("/internal/v1/batches")).json()["items"]) == 3
    refused = await api.get("/internal/v1/runs?cursor=nonsense")
    assert (refused.status_code, refused.json()["title"]) == (422, "Unprocessable Entity")


async def test_what_went_wrong_is_a_problem_with_an_id_to_quote(
    api: SomeApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"X-Correlation-ID": "order 17\té"}
    missing = await api.client.get("/nowhere", headers=[(k.encode(), v.encode("latin-1")) for k, v in headers.items()])
    assert (missing.status_code, missing.headers["X-Correlation-ID"]) == (404, "order17")
    assert Problem.model_validate(missing.json()).status == 404
    posted = await api.client.post("/internal/v1/runs")
    assert (posted.status_code, posted.headers["content-type"]) == (405, "application/problem+json")

    # When: something breaks that nobody has thought of
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(api.parts.database.queries, "runs", broken)
    failed = await api.get("/internal/v1/runs", {"X-Correlation-ID": "mine"})

    # Then: the caller is told an id, and nothing of what it was; the log has both
    assert (failed.status_code, failed.headers["X-Correlation-ID"]) == (500, "mine")
    assert "hunter2" not in failed.text
    assert any(getattr(line, "correlation_id", None) == "mine" for line in caplog.records)

    # And: where the database refuses, it is the store's fault, and its words are for the log
    async with api.parts.database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE dead_letters RENAME TO gone"))
    refused = await api.get("/internal/v1/dead-letters")
    assert (refused.status_code, "The database refuses" in refused.text, "migrate" in refused.text) == (
        503,
        True,
        False,
    )
    assert "result-store migrate" in caplog.text
    assert (await api.get("/internal/v1/runs/")).status_code == 404
    counted = api.parts.metrics.exposition().decode()
    assert 'result_store_http_requests_total{method="GET",route="/internal/v1/runs",status="500"} 1.0' in counted


async def test_readiness_names_the_dependency_that_is_not_well_and_no_secret(api: SomeApi) -> None:
    well = await api.get("/readyz")
    assert (well.status_code, well.json()["dependencies"]["database"]["status"]) == (200, "ok")

    async def lost() -> None:
        raise RuntimeError("redis://:hunter2@cache")

    api.app.state.readiness._probes = {"database": api.parts.database.ping, "cache": lost}
    api.app.state.readiness._last = None
    ill = await api.get("/readyz")
    states = {name: state["status"] for name, state in ill.json()["dependencies"].items()}
    assert (ill.status_code, ill.json()["status"], states) == (503, "failed", {"database": "ok", "cache": "failed"})
    assert "hunter2" not in ill.text
    assert (await api.get("/healthz")).json() == {"status": "ok"}


def _empty(folder: Path) -> None:
    for file in folder.rglob("*.json"):
        file.unlink()

"""Keys, services, users and tenants, over a real database."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from starlette.requests import Request
from starlette.responses import Response

from result_store.api import keys as keys_module
from result_store.api.keys import ApiKeys
from result_store.api.own_tables import OwnTables
from result_store.api.sessions import COOKIE
from result_store.errors import AccessRefusedError, DatabaseError
from tests.integration.store.api.some_api import SomeApi, dead_letter, invalid_message, request_of, result_of, some_api
from workflow_events.errors import ConfigurationError
from workflow_events.testing.postgres import PostgresServer

ONE = UUID(int=1)
RESULT = f"/internal/v1/results/{ONE}"
OPEN = {"/healthz", "/readyz"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[SomeApi]:
    """Three users' requests: Ada's, Bob's, and one of Ada at another tenant."""
    async with some_api(tmp_path) as made:
        ada = request_of(1, user="ada", tenant="acme")
        await made.store(
            ada,
            result_of(ada),
            request_of(2, user="bob", tenant="acme"),
            request_of(3, user="ada", tenant="other"),
            invalid_message(),
            dead_letter(),
        )
        yield made


async def test_every_route_but_those_of_health_asks_for_a_key(api: SomeApi) -> None:
    # Given: all routes that there are
    paths = set(api.app.openapi()["paths"]) - OPEN
    assert len(paths) >= 8
    for path in paths:
        where = path.format(correlation_id=ONE, user_id="ada", workflow_run_id="batch-1")
        # When: one is asked without a key
        answer = await api.get(where)
        # Then: it says what to do, as a problem
        assert answer.status_code == 401, where
        assert answer.headers["content-type"] == "application/problem+json"
        assert "result-store keys create" in answer.json()["detail"]


async def test_a_wrong_revoked_or_expired_key_is_refused_and_a_rotated_one_is_not(api: SomeApi) -> None:
    # Given: a service with two keys, as when one takes the other's place
    old, new = await api.headers(), await api.headers()
    assert (await api.get(RESULT, old)).status_code == (await api.get(RESULT, new)).status_code == 200

    # When: the old one is revoked
    key_id = old["X-Internal-API-Key"].split("_")[1]
    assert await api.app.state.gate._keys.revoke(key_id)
    assert not await api.keys.revoke(key_id)

    # Then: it does not work any more, and the other does
    refused = await api.get(RESULT, old)
    assert (refused.status_code, "revoked" in refused.text) == (401, True)
    assert (await api.get(RESULT, new)).status_code == 200

    # And: a key with another secret, or another's id, is none; the words do not say which of the two is wrong
    right = new["X-Internal-API-Key"]
    said = set()
    for wrong in (
        right[:-1] + ("0" if right[-1] != "0" else "1"),
        right.replace(right.split("_")[1], "f" * 16),
        "wfk_x",
    ):
        answer = await api.get(RESULT, {**new, "X-Internal-API-Key": wrong})
        assert answer.status_code == 401
        said.add(answer.text)
    assert len(said) == 1

    # And: one that has expired says so
    soon = datetime.now(UTC) + timedelta(hours=1)
    text = await api.keys.create("reports", expires_at=soon)
    late = ApiKeys(api.parts.database.engine, now=lambda: soon)
    assert (await api.keys.verify(text)).service == "reports"
    with pytest.raises(AccessRefusedError, match="expired"):
        await late.verify(text)


async def test_every_refused_key_is_looked_up_and_compared_alike(api: SomeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given: a key and all that can be wrong with one
    text = (await api.headers())["X-Internal-API-Key"]
    revoked = await api.keys.create("reports")
    await api.keys.revoke(revoked.split("_")[1])
    wrong_secret = text[:-64] + "0" * 64
    unknown = text.replace(text.split("_")[1], "f" * 16)
    compared: list[int] = []
    asked: list[str] = []
    real, read = hmac.compare_digest, OwnTables.read

    def compare(a: Any, b: Any) -> bool:
        compared.append(len(a) + len(b))
        return real(a, b)

    async def look_up(self: OwnTables, query: Any) -> Any:
        asked.append(str(query))
        return await read(self, query)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    monkeypatch.setattr(OwnTables, "read", look_up)

    # When / Then: each takes the same way, to the database and through one comparison of full length
    for sent in (None, "", "nonsense", "x" * 100_000, unknown, wrong_secret, revoked):
        compared.clear()
        asked.clear()
        keys = ApiKeys(api.parts.database.engine)
        with pytest.raises(AccessRefusedError):
            await keys.verify(sent)
        assert (compared, len(asked)) == ([128], 1)


async def test_a_key_that_another_process_revokes_stops_working_soon(
    api: SomeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await api.headers()
    assert (await api.get(RESULT, headers)).status_code == 200
    await api.keys.revoke(headers["X-Internal-API-Key"].split("_")[1])
    monkeypatch.setattr(keys_module, "KEY_TRUST_SECONDS", 0.0)
    assert (await api.get(RESULT, headers)).status_code == 401


async def test_a_key_in_use_is_looked_up_again_without_keeping_anybody_waiting(
    api: SomeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given: a key in use, which another process revokes, and a database that takes its time
    text = (await api.headers())["X-Internal-API-Key"]
    keys = ApiKeys(api.parts.database.engine)
    await keys.verify(text)
    await api.keys.revoke(text.split("_")[1])
    asked, answer, read = asyncio.Event(), asyncio.Event(), OwnTables.read

    async def look_up(self: OwnTables, query: Any) -> Any:
        asked.set()
        await answer.wait()
        return await read(self, query)

    monkeypatch.setattr(OwnTables, "read", look_up)
    monkeypatch.setattr(keys_module, "_LOOK_AGAIN_SECONDS", 0.0)

    # When / Then: who asks meanwhile is answered at once, by what is known of it, and the database is asked once
    for _ in range(3):
        assert (await keys.verify(text)).revoked_at is None
    await asked.wait()
    asked.clear()
    assert (await keys.verify(text)).revoked_at is None
    assert not asked.is_set()

    # And: what the database then says counts, long before the key is too old to be trusted
    monkeypatch.setattr(keys_module, "KEY_TRUST_SECONDS", 3600.0)
    answer.set()

    async def ask_until_refused() -> None:
        while True:
            await keys.verify(text)
            await asyncio.sleep(0)

    with pytest.raises(AccessRefusedError, match="revoked"):
        await asyncio.wait_for(ask_until_refused(), 30)
    await keys.close()


async def test_a_key_that_cannot_be_looked_up_again_works_until_it_is_too_old(
    api: SomeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (await api.headers())["X-Internal-API-Key"]
    keys = ApiKeys(api.parts.database.engine)
    await keys.verify(text)
    failed = asyncio.Event()

    async def look_up(*_: object) -> Any:
        failed.set()
        raise DatabaseError("The database is away.")

    monkeypatch.setattr(OwnTables, "read", look_up)
    monkeypatch.setattr(keys_module, "_LOOK_AGAIN_SECONDS", 0.0)
    await keys.verify(text)
    await failed.wait()
    await keys.verify(text)
    monkeypatch.setattr(keys_module, "KEY_TRUST_SECONDS", 0.0)
    with pytest.raises(DatabaseError):
        await keys.verify(text)
    await keys.close()


async def test_what_was_read_before_a_key_was_revoked_here_is_not_believed_after(
    api: SomeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (await api.headers())["X-Internal-API-Key"]
    keys = ApiKeys(api.parts.database.engine)
    has_read, go_on, read = asyncio.Event(), asyncio.Event(), OwnTables.read

    async def read_slowly(self: OwnTables, query: Any) -> Any:
        rows = await read(self, query)
        has_read.set()
        await go_on.wait()
        return rows

    monkeypatch.setattr(OwnTables, "read", read_slowly)
    before = asyncio.create_task(keys.verify(text))
    await has_read.wait()
    await keys.revoke(text.split("_")[1])
    go_on.set()
    assert (await before).revoked_at is None
    with pytest.raises(AccessRefusedError, match="revoked"):
        await keys.verify(text)


async def test_a_service_sees_what_it_asks_for(api: SomeApi) -> None:
    headers = await api.headers()
    cases: list[tuple[dict[str, str | None], int]] = [
        ({}, 200),
        ({"X-Service-ID": None}, 403),
        ({"X-Service-ID": "other"}, 403),
        ({"X-User-ID": "ada"}, 200),
        ({"X-User-ID": "bob"}, 404),
        ({"X-User-ID": ""}, 403),
        ({"X-Tenant-ID": "acme"}, 200),
        ({"X-Tenant-ID": "other"}, 404),
        ({"X-User-ID": "ada", "X-Tenant-ID": "other"}, 404),
    ]
    for changes, status in cases:
        sent = {name: value for name, value in {**headers, **changes}.items() if value is not None}
        answer = await api.get(RESULT, sent)
        assert answer.status_code == status, changes
        assert status == 200 or answer.json()["status"] == status
        assert status == 200 or answer.json()["detail"]


async def test_a_key_of_a_users_sees_their_own_alone_also_from_the_cache(api: SomeApi) -> None:
    # Given: the answers are cached for who may see everything
    api.settle()
    everybody = await api.headers()
    for _ in range(2):
        assert (await api.get(RESULT, everybody)).status_code == 200
        assert (await api.get("/internal/v1/batches/batch-1/status", everybody)).json()["total"] == 3
        assert (await api.get("/internal/v1/batches/user/bob", everybody)).status_code == 200
    assert 'outcome="hit"} 3.0' in api.parts.metrics.exposition().decode()
    ada, bob = await api.headers(user_id="ada"), await api.headers(user_id="bob")

    # When / Then: ids are found by their owner alone, and a foreign one is no different from one that is not there
    assert (await api.get(RESULT, ada)).json()["result"] == {"answer": 42}
    foreign = await api.get(RESULT, bob)
    missing = await api.get(f"/internal/v1/results/{UUID(int=77)}", bob)
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["detail"].replace(str(ONE), "") == missing.json()["detail"].replace(str(UUID(int=77)), "")
    assert (await api.get(f"{RESULT}/raw", bob)).status_code == 404

    # And: lists hold their own, counts too; another's list, and what is nobody's, are refused
    seen = (await api.get("/internal/v1/runs", bob)).json()["items"]
    assert [item["correlation_id"] for item in seen] == [str(UUID(int=2))]
    assert (await api.get("/internal/v1/batches/batch-1/status", bob)).json()["total"] == 1
    assert (await api.get("/internal/v1/batches/batch-1/status", everybody)).json()["total"] == 3
    assert (await api.get("/internal/v1/batches/user/bob", bob)).json()["items"][0]["total"] == 1
    for path in ("batches/user/ada", "batches?user_id=ada", "invalid-messages", "dead-letters"):
        assert (await api.get(f"/internal/v1/{path}", bob)).status_code == 403, path
    for path in ("invalid-messages", "dead-letters"):
        assert len((await api.get(f"/internal/v1/{path}", everybody)).json()["items"]) == 1

    # And: naming somebody else does not help
    assert (await api.get(RESULT, {**bob, "X-User-ID": "ada"})).status_code == 403
    twice = [*bob.items(), ("X-User-ID", "bob"), ("X-User-ID", "ada")]
    assert (await api.client.get(RESULT, headers=twice)).status_code == 403


async def test_users_may_have_names_that_are_not_ascii(api: SomeApi) -> None:
    await api.store(request_of(50, user="Zoë Ω"))
    headers = await api.headers()
    named = [(name.encode(), value.encode()) for name, value in {**headers, "X-User-ID": "Zoë Ω"}.items()]
    found = (await api.client.get("/internal/v1/runs", headers=named)).json()["items"]
    assert [item["user_id"] for item in found] == ["Zoë Ω"]
    assert (await api.get("/internal/v1/batches/user/Zoë Ω", headers)).json()["items"][0]["total"] == 1


async def test_only_services_on_the_list_may_ask_where_there_is_one(tmp_path: Path) -> None:
    async with some_api(tmp_path, services="billing, reports") as api:
        assert (await api.get("/internal/v1/runs", await api.headers("reports"))).status_code == 200
        refused = await api.get("/internal/v1/runs", await api.headers("intruder"))
        assert (refused.status_code, "RESULT_STORE_SERVICES" in refused.text) == (403, True)


async def test_a_browser_changes_a_key_for_a_cookie_that_ends_with_the_key(api: SomeApi) -> None:
    # Given: Ada signs in
    sessions = api.app.state.gate.sessions
    text = await api.keys.create("page", user_id="ada")
    token = await sessions.sign_in(text)
    response = Response()
    proxied = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "server": ("store", 80)}
    sessions.give(token, response, Request({**proxied, "headers": [(b"x-forwarded-proto", b"https")]}))
    assert {"HttpOnly", "SameSite=strict", "Secure"} <= set(response.headers["set-cookie"].split("; "))

    # When / Then: the cookie opens what the key opens
    cookie = {"Cookie": f"{COOKIE}={token}"}
    assert (await api.get(RESULT, cookie)).status_code == 200
    assert (await api.get(f"/internal/v1/results/{UUID(int=2)}", cookie)).status_code == 404
    assert (await api.get(RESULT, {"Cookie": f"{COOKIE}=nonsense"})).status_code == 401

    # And: not after signing out, nor once the key is revoked
    other = await sessions.sign_in(text)
    await sessions.sign_out(token)
    assert (await api.get(RESULT, cookie)).status_code == 401
    assert (await api.get(RESULT, {"Cookie": f"{COOKIE}={other}"})).status_code == 200
    await api.app.state.gate._keys.revoke(text.split("_")[1])
    assert (await api.get(RESULT, {"Cookie": f"{COOKIE}={other}"})).status_code == 401
    with pytest.raises(AccessRefusedError):
        await sessions.sign_in(text)


async def test_nothing_secret_is_at_rest_or_in_logs(
    tmp_path: Path, api: SomeApi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = await api.headers()
    text = headers["X-Internal-API-Key"]
    token = await api.app.state.gate.sessions.sign_in(text)
    await api.get(f"/internal/v1/runs?cursor={'x' * 30}", headers)
    await api.get(RESULT, {**headers, "X-Service-ID": "other"})
    await api.get(RESULT, {"Cookie": f"{COOKIE}={token}"})
    secret = text.split("_")[2]
    assert secret not in caplog.text
    assert token not in caplog.text
    assert secret not in repr(await api.keys.list())
    await api.parts.database.close()
    at_rest = _everything_in(tmp_path)
    assert text.split("_")[1].encode() in at_rest
    assert secret.encode() not in at_rest
    assert token.encode() not in at_rest


async def test_who_asks_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    async with some_api(tmp_path, rate_limit="3/hour") as api:
        headers, other = await api.headers(), await api.headers()
        answers = [await api.get("/internal/v1/runs", headers) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 3600
        assert answers[-1].headers["content-type"] == "application/problem+json"
        # Another key has its own; so has who has none, and health is open to all.
        assert (await api.get("/internal/v1/runs", other)).status_code == 200
        assert [(await api.get("/internal/v1/runs")).status_code for _ in range(4)] == [401, 401, 401, 429]
        assert (await api.get("/internal/v1/runs", other)).status_code == 200
        assert (await api.get("/healthz")).status_code == 200


async def test_without_keys_everybody_on_this_machine_may_ask_and_no_foreign_page(tmp_path: Path) -> None:
    async with some_api(tmp_path, auth="none") as api:
        await api.store(request_of(1, user="ada"))
        assert (await api.get(RESULT)).status_code == 200
        assert (await api.get(RESULT, {"X-User-ID": "bob"})).status_code == 404
        for host, status in (("127.0.0.1:8810", 200), ("[::1]:1", 200), ("evil.example", 403)):
            assert (await api.get(RESULT, {"Host": host})).status_code == status, host


async def test_keys_are_kept_in_postgresql_too(tmp_path: Path, postgres: PostgresServer) -> None:
    async with some_api(tmp_path, database_url=postgres.create_database("store_api_keys")) as api:
        headers = await api.headers(user_id="ada")
        assert (await api.get("/internal/v1/runs", headers)).status_code == 200
        token = await api.app.state.gate.sessions.sign_in(headers["X-Internal-API-Key"])
        assert (await api.get("/internal/v1/runs", {"Cookie": f"{COOKIE}={token}"})).status_code == 200
        (key,) = await api.keys.list()
        assert (key.service, key.user_id, key.expires_at) == ("reports", "ada", None)
        assert await api.keys.revoke(key.key_id)

        # And: what PostgreSQL takes in no text is the caller's fault, and not the store's
        other = await api.headers()
        for path in ("batches/a%00b/status", "batches/user/%00", "runs?workflow_id=%00", "batches?user_id=a%00"):
            answer = await api.get(f"/internal/v1/{path}", other)
            assert answer.status_code in {200, 404, 422}, (path, answer.text)


async def test_a_service_that_cannot_stand_in_a_header_gets_no_key(api: SomeApi) -> None:
    for service in ("", " x", "a,b", "x\n", "münchen"):
        with pytest.raises(ConfigurationError):
            await api.keys.create(service)


def _everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("store.db*"))

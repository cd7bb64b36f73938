"""Whether the API, served, holds to what its OpenAPI document says. By Schemathesis."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, NamedTuple

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from result_store.api.serving import HttpService
from tests.integration.store.api.some_api import (
    SomeApi,
    dead_letter,
    invalid_message,
    request_of,
    result_of,
    some_api,
)

_LIVE = "/internal/v1/events"
_EXCLUDED: list[schemathesis.CheckFunction] = [positive_data_acceptance]
"""A cursor is any text to the document, and only those that a list gave to the API."""


class Served(NamedTuple):
    url: str
    metrics_port: int | None
    headers: dict[str, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served API with something of everything in it."""
    where: Future[Served] = Future()
    stopping: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    folder = tmp_path_factory.mktemp("described")

    async def serve() -> None:
        stop = asyncio.Event()
        stopping.set_result((asyncio.get_running_loop(), stop))
        async with some_api(folder, api_port=0, metrics_port=0) as api:
            await _fill(api)
            service = HttpService(api.parts.settings, api.app, api.parts.metrics)
            async with service.serving():
                where.set_result(Served(str(service.url), service.metrics_port, await api.headers()))
                await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="api")
    thread.start()
    try:
        yield where.result(60)
    finally:
        loop, stop = stopping.result(60)
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
    assert not thread.is_alive()


def test_no_answer_is_a_servers_error_or_other_than_described(served: Served) -> None:
    described = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    asked = 0
    for operation in (found.ok() for found in described.get_all_operations() if isinstance(found, Ok)):
        if operation.path == _LIVE:
            continue  # a stream without end; it has tests of its own
        asked += 1
        for mode in GenerationMode:
            _ask(operation, mode, served)
    assert asked >= 10


def test_metrics_are_on_a_port_of_their_own(served: Served) -> None:
    httpx.get(f"{served.url}/healthz")
    told = httpx.get(f"http://127.0.0.1:{served.metrics_port}/metrics")
    assert 'route="/healthz"' in told.text
    assert httpx.get(f"{served.url}/metrics").status_code == 404


def _ask(operation: schemathesis.APIOperation[Any, Any, Any, Any], mode: GenerationMode, served: Served) -> None:
    @settings(
        max_examples=6,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(base_url=served.url, headers=served.headers, excluded_checks=_EXCLUDED)

    with contextlib.suppress(Unsatisfiable):  # nothing can be wrong with an operation without parameters
        check()


async def _fill(api: SomeApi) -> None:
    requests = [request_of(number, user="ada", tenant="acme") for number in range(1, 6)]
    await api.store(*requests, result_of(requests[0]), result_of(requests[1], {}), invalid_message(), dead_letter())

"""The store's API over many rows, against a bare route of its framework, both asked at the same steady rate."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import httpx
from pydantic import SecretStr
from sqlalchemy import text

from benchmarks.measuring import Figure, compare
from benchmarks.steady_load import latencies
from result_store.api.keys import ApiKeys
from result_store.database.database import ResultDatabase
from result_store.settings import StoreSettings
from workflow_events.testing.postgres import PostgresServer
from workflow_events.testing.processes import LOOPBACK, ServerProcess, accepts_connections, free_port

if TYPE_CHECKING:
    from workflow_events import KafkaSettings

__all__ = ["measure"]

_RUNS = 1_000_000
_EVENTS_OF_A_RUN = 3
_BATCH = 20
"""Requests of one ``workflow_run_id``."""
_IN_MEMORY = "4GB"
"""Room for all rows and their indexes. Else the disk is measured, where the machine's kernel forgets files within minutes."""
_RATE = 300.0
"""Requests a second: a load that both sides carry, so that what is measured is the answer and not a queue."""
_SECONDS = 10.0
_SERVICE = "benchmarks"


async def measure(settings: KafkaSettings, broker: str, runs: int, scale: float) -> AsyncIterator[Figure]:
    """The 99th percentile of an answer about one request, and of one about a batch, in milliseconds."""
    rows = max(1_000, int(_RUNS * scale))
    count = max(20, int(_RATE * _SECONDS * min(1.0, scale * 10)))
    with ExitStack() as stack:
        server = stack.enter_context(PostgresServer(shared_buffers=_IN_MEMORY))
        store = StoreSettings(
            database_url=SecretStr(server.create_database("store")),
            archive="none",
            rate_limit="1000000/minute",  # counted, and never reached
            log_level="error",
        )
        key = await _fill(store, rows)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours = await asyncio.to_thread(
            _start, stack, "the store's API", _store_command(), _environment(settings, store), folder
        )
        headers = {"X-Internal-API-Key": key, "X-Service-ID": _SERVICE}
        for what, paths in {"a request's result": _results(rows), "a batch's status": _batches(rows)}.items():
            size = await asyncio.to_thread(_size, ours + next(paths), headers)
            with ExitStack() as beside:
                bare = await asyncio.to_thread(
                    _start, beside, "a bare route", _bare_command(size), dict(os.environ), folder
                )
                yield await compare(
                    f"store: p99 of {what}, of {rows:,}, at {_RATE:g} requests/s",
                    broker,
                    _p99(ours, paths, count, headers),
                    _p99(bare, (f"/bare/{number}" for number in itertools.count()), count, {}),
                    runs=runs,
                    baseline_name="a FastAPI route that answers a constant",
                    unit="ms",
                    target="<= 3",
                    note="random ones, so from PostgreSQL's memory and not from the cache; with a key, and counted for its rate; "
                    "both served by uvicorn in the same event loop, one process each",
                )


def _size(url: str, headers: Mapping[str, str]) -> int:
    return len(httpx.get(url, headers=headers, timeout=60).raise_for_status().content)


def _p99(address: str, paths: Iterator[str], count: int, headers: Mapping[str, str]) -> Callable[[], Awaitable[float]]:
    async def run() -> float:
        taken = sorted(await latencies(address, paths, rate=_RATE, count=count, headers=headers))
        return taken[int(len(taken) * 0.99)] * 1000

    return run


def _id(number: int) -> UUID:
    return UUID(int=number << 80 | 7 << 76 | 2 << 62)


def _results(rows: int) -> Iterator[str]:
    choice = random.Random(1)  # noqa: S311 - no secret
    while True:
        yield f"/internal/v1/results/{_id(choice.randrange(rows))}"


def _batches(rows: int) -> Iterator[str]:
    choice = random.Random(2)  # noqa: S311 - no secret
    while True:
        yield f"/internal/v1/batches/run-{choice.randrange(rows // _BATCH)}/status"


async def _fill(settings: StoreSettings, rows: int) -> str:
    """Finished requests, made by the database itself; a key to ask with."""
    database = ResultDatabase(settings)
    try:
        await database.start(migrate=True)
        async with database.engine.begin() as connection:
            for statement in (_RUN_ROWS, _EVENT_ROWS):
                await connection.execute(text(statement), {"rows": rows, "batch": _BATCH, "events": _EVENTS_OF_A_RUN})
        async with database.engine.connect() as connection:
            await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("VACUUM ANALYZE"))
        return await ApiKeys(database.engine).create(_SERVICE)
    finally:
        await database.close()


_NUMBERED_ID = "(lpad(to_hex({0}), 12, '0') || '70008000000000000000')::uuid"
_RUN_ROWS = f"""
INSERT INTO runs (correlation_id, workflow_id, workflow_run_id, name_rank, requested_at, attempt, user_id, request_rank,
                  status, result_attempt, result, result_bytes, finished_at, duration_ms, result_rank, updated_at)
SELECT {_NUMBERED_ID.format("n")}, 'flow-' || n % 5, 'run-' || n / :batch, '3', at, 1, 'user-' || n % 1000, '0',
       'success', 1, '{{"text": "' || repeat('x', 300) || '"}}', 312, at + interval '5 s', 842.5, '1', at + interval '5 s'
FROM (SELECT n, timestamptz '2026-01-01' + n * interval '50 ms' AS at FROM generate_series(0, :rows - 1) AS n) AS numbered
"""  # noqa: S608 - texts of ours
_EVENT_ROWS = f"""
INSERT INTO run_events (event_key, correlation_id, at, kind, attempt)
SELECT gen_random_uuid(), {_NUMBERED_ID.format("n")}, timestamptz '2026-01-01' + n * interval '50 ms' + e * interval '1 s',
       (ARRAY['requested', 'accepted', 'result'])[1 + e % 3], 1
FROM generate_series(0, :rows - 1) AS n, generate_series(0, :events - 1) AS e
"""  # noqa: S608 - texts of ours


def _store_command() -> list[str]:
    return [sys.executable, "-m", "result_store", "run", "--only", "api", "--create-topics"]


def _bare_command(size: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.bare_route", "{port}", str(size)]


def _environment(kafka: KafkaSettings, store: StoreSettings) -> dict[str, str]:
    ours = {f"RESULT_STORE_{name.upper()}": getattr(store, name) for name in store.model_fields_set}
    theirs = {f"KAFKA_{name.upper()}": getattr(kafka, name) for name in kafka.model_fields_set}
    given = {name: value for name, value in {**ours, **theirs}.items() if value is not None}
    return {
        **os.environ,
        **{
            name: str(value.get_secret_value() if isinstance(value, SecretStr) else value)
            for name, value in given.items()
        },
        "RESULT_STORE_API_PORT": "{port}",
        "RESULT_STORE_METRICS": "false",
    }


def _start(stack: ExitStack, name: str, command: list[str], environment: dict[str, str], folder: Path) -> str:
    """Start a server that is told its port; its address."""
    port = str(free_port())
    server = ServerProcess(
        name,
        [part.replace("{port}", port) for part in command],
        log_file=folder / "server.log",
        environment={
            **{name: value.replace("{port}", port) for name, value in environment.items()},
            "PYTHONPATH": str(Path(__file__).parents[1]),
        },
    )
    stack.enter_context(server)
    server.wait_ready(lambda: accepts_connections(int(port)), 60, interval=0.1)
    return f"http://{LOOPBACK}:{port}"

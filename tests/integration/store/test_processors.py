"""Several processors, each in a process of its own: they store what one would, and are started again where they die."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from result_store import processors as module
from result_store.errors import ResultStoreError
from result_store.metrics import StoreMetrics
from result_store.processors import Processors
from result_store.settings import StoreSettings
from result_store.topics import ensure_store_topics
from tests.integration.store.conftest import Backend
from tests.integration.store.history import EVENTS_PER_REQUEST, history
from tests.integration.store.processing import (
    PATIENCE,
    archived,
    at_work,
    dump,
    everything_committed,
    opened,
    publish,
    stored_once,
)
from tests.integration.worker.observing import eventually
from workflow_events.testing.processes import ServerProcess
from workflow_events.testing.waiting import wait_until

embedded = pytest.mark.parametrize("backend", ["embedded"], indirect=True)


def total(exposition: str, name: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name == name
    )


def lives(process_id: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process_id, 0)
        return True
    return False


async def is_ready(processors: Processors) -> bool:
    with contextlib.suppress(ResultStoreError):
        await processors.ready()
        return True
    return False


async def why_not(processors: Processors) -> str:
    try:
        await processors.ready()
    except ResultStoreError as error:
        return str(error)
    return ""


@asynccontextmanager
async def prepared(backend: Backend, **changes: object) -> AsyncIterator[StoreSettings]:
    """Settings for two, whose topics and tables are there."""
    settings = backend.with_settings(processors=2, **changes)
    ensure_store_topics(backend.kafka, settings)
    async with opened(settings):
        yield settings


async def test_two_store_what_one_would_and_one_that_is_killed_is_started_again(
    backend: Backend, tmp_path: Path
) -> None:
    kafka, metrics = backend.kafka, StoreMetrics()
    messages = history(kafka, 60 * EVENTS_PER_REQUEST)
    half = len(messages) // 2
    async with prepared(backend) as settings:
        # Given two of one group, of which one is killed before it is at work
        processors = Processors(kafka, settings, metrics)
        assert "2 not at work" in await why_not(processors)
        async with at_work(processors):
            early = (await eventually(lambda: processors.process_ids))[0]
            os.kill(early, signal.SIGKILL)
            await eventually(lambda: is_ready(processors), PATIENCE)
            first = processors.process_ids
            assert early not in first
            assert len(set(first)) == 2
            # When messages come, one of the two is killed, and more messages come
            ends = await publish(kafka, messages[:half])
            await everything_committed(kafka, settings.group_id, ends)
            os.kill(first[0], signal.SIGKILL)
            await eventually(lambda: why_not(processors))
            ends = await publish(kafka, messages[half:])
            # Then another takes its place, and all is stored
            await eventually(lambda: is_ready(processors), PATIENCE)
            await everything_committed(kafka, settings.group_id, ends)
            second = processors.process_ids
            assert len(set(second)) == 2
            assert first[0] not in second
            assert first[1] in second
        # And once they have stopped, each message is counted here, and none of them is left
        assert not any(map(lives, [*first, *second, early]))
        exposition = metrics.exposition().decode()
        # (what the one that was killed had counted in its last second, it took with it)
        assert half <= total(exposition, "result_store_messages_total") <= len(messages)
        assert total(exposition, "result_store_processor_restarts_total") == 2
        assert "result_store_consumer_lag{" not in exposition
        async with opened(settings) as database, stored_once(kafka, messages, tmp_path) as (once, kept):
            assert await dump(database) == await dump(once)
            assert archived(settings) == archived(kept)


@embedded
async def test_one_that_cannot_be_built_ends_them_all_and_says_why(backend: Backend) -> None:
    # Given a database without tables
    settings = backend.with_settings(processors=2)
    ensure_store_topics(backend.kafka, settings)
    processors = Processors(backend.kafka, settings, StoreMetrics())
    # When two are started, then both end, with what is missing and what to do
    with pytest.raises(
        ResultStoreError, match=r"Processor \d of 2 has ended with an error: .*result-store migrate"
    ) as e:
        async with asyncio.timeout(PATIENCE):
            await processors.run()
    assert "Needed by: result-store run --only processor -> processor -> database" in str(e.value)
    assert processors.process_ids == []


@embedded
async def test_one_that_says_nothing_is_not_well_and_who_cannot_wait_for_it_cuts_it_off(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SILENCE", 2.5)
    async with prepared(backend) as settings:
        processors = Processors(backend.kafka, settings, StoreMetrics())
        running = asyncio.ensure_future(processors.run())
        await eventually(lambda: is_ready(processors), PATIENCE)
        # Given one that has come to a halt
        ids = processors.process_ids
        os.kill(ids[1], signal.SIGSTOP)

        async def is_named() -> bool:
            return f"Processor 2 of 2: its process {ids[1]} has said nothing for" in await why_not(processors)

        # Then it is named, after a while
        await eventually(is_named, PATIENCE)
        # And asked to stop, they wait for it
        processors.stop()
        await eventually(lambda: not lives(ids[0]), PATIENCE)
        assert not running.done()
        # When they are cut off, then so is it
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not lives(ids[1])


def test_where_the_command_is_killed_its_processors_stop_by_themselves(backend: Backend, tmp_path: Path) -> None:
    # Given the command, with the API in its own process and two processors beside it
    process = ServerProcess(
        "result-store",
        [sys.executable, "-m", "result_store", "run", "--create-topics", "--migrate"],
        log_file=tmp_path / "store.log",
        environment={**backend.environment(processors=2), "PYTHONPATH": str(Path(__file__).parents[3])},
        directory=tmp_path,
    )
    with process:

        def said(pattern: str) -> list[str]:
            assert process.is_running, process.log_tail()
            return re.findall(pattern, process.log_text())

        [api] = wait_until(lambda: said(r"API and page at (http://[^\s\"]+)"), PATIENCE, what=process.log_tail)
        [metrics] = wait_until(lambda: said(r"Metrics at (http://[^\s\"]+)"), PATIENCE, what=process.log_tail)
        wait_until(lambda: httpx.get(f"{api}/readyz").status_code == 200, PATIENCE, what=process.log_tail)
        ids = [int(found) for found in said(r"Processor \d of 2 has process id (\d+)")]
        assert len(ids) == 2
        # When requests are made, then they are answered for, and counted at the one port
        messages = history(backend.kafka, 10 * EVENTS_PER_REQUEST)
        ends = asyncio.run(publish(backend.kafka, messages))
        asyncio.run(everything_committed(backend.kafka, backend.settings.group_id, ends))
        batch = httpx.get(f"{api}/internal/v1/batches/batch-0/status")
        assert batch.status_code == 200, batch.text
        wait_until(
            lambda: total(httpx.get(metrics).text, "result_store_messages_total") == len(messages),
            PATIENCE,
            what=lambda: httpx.get(metrics).text,
        )
        # When the command is killed, then its processors stop, in good order
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: process.log_text().count("Processor stopped") == 2, PATIENCE, what=lambda: f"{ids} stop")

"""A processor that is killed again and again, fed with each message twice and in no order, stores what a single pass does."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Final

import pytest

from tests.integration.store.conftest import Backend
from tests.integration.store.history import history
from tests.integration.store.one_processor import OneProcessor
from tests.integration.store.processing import (
    PATIENCE,
    archived,
    count,
    everything_committed,
    fingerprints,
    opened,
    publish,
    stored_once,
)
from tests.integration.worker.observing import eventually

EVENTS: Final = int(os.environ.get("RESULT_STORE_EVENTS") or 20_000)
"""Different messages; 1,000,000 for the whole."""
_KILLS: Final = 10
_BY_DEFAULT: Final = EVENTS <= 20_000


@pytest.mark.timeout(300 if _BY_DEFAULT else 0)
async def test_killed_ten_times_and_told_everything_twice_it_has_the_rows_and_the_archive_of_a_single_pass(
    backend: Backend, tmp_path: Path
) -> None:
    # Given many messages, each on its topic twice, in no order
    asyncio.get_running_loop().set_debug(False)  # it would take longer than all the rest
    kafka = backend.kafka
    settings = backend.with_settings(archive=str(tmp_path / "kept"), batch_size=200, session_timeout=2.0)
    messages = history(kafka, EVENTS)
    twice = [*messages, *messages]
    random.Random(7).shuffle(twice)
    ends = await publish(kafka, twice)
    patience = PATIENCE if _BY_DEFAULT else 3600.0
    del twice
    async with stored_once(kafka, messages, tmp_path) as (once, kept), opened(settings) as database:
        expected = await count(once, "run_events")
        # When a processor works through them, and is killed with SIGKILL ten times, each time with some of it in its hands
        changes = {name: getattr(settings, name) for name in ("archive", "batch_size", "session_timeout")}
        environment = backend.environment(**changes)
        with OneProcessor(environment, tmp_path / "processor.log") as processor:
            for kill in range(1, _KILLS + 1):
                so_far = kill / (_KILLS + 1)
                enough = expected * (1 - (1 - so_far) ** 2)  # of each pair, one is enough

                async def has_come_far(enough: float = enough) -> bool:
                    processor.check()
                    return await count(database, "run_events") >= enough

                await eventually(has_come_far, patience)
                processor.kill_and_start()
            await everything_committed(kafka, settings.group_id, ends)
            assert processor.stop() == 0
        # Then rows and objects are those of a clean single pass
        assert await fingerprints(database) == await fingerprints(once)
        assert archived(settings) == archived(kept)

"""A scan of the past, when the log does not hold still under it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.replies.answers import id_of, message
from tests.unit.replies.memory_log import MemoryLog
from tests.unit.replies.virtual_time import VirtualTimeLoop
from workflow_events import KafkaSettings, PendingRequest, ResultStatus
from workflow_events.replies import topic_log
from workflow_events.replies.async_reader import ReplyReader

BEFORE = 20


@pytest.fixture
def loop() -> Iterator[VirtualTimeLoop]:
    loop = VirtualTimeLoop()
    yield loop
    loop.close()


@pytest.mark.parametrize("refuses", [True, False], ids=["as Apache Kafka", "as the embedded broker"])
def test_a_log_that_is_made_anew_under_a_scan_does_not_keep_others_waiting(
    loop: VirtualTimeLoop, monkeypatch: pytest.MonkeyPatch, *, refuses: bool
) -> None:
    log = MemoryLog(1)
    log.refuses, log.fetch_size = refuses, 1
    monkeypatch.setattr(topic_log, "open_log", log.open)

    def publish(request: int) -> None:
        log.publish(0, *message(request, "ours", ResultStatus.SUCCESS, None), now=loop.time())

    def pending(request: int, cursor: int) -> PendingRequest:
        return PendingRequest(
            correlation_id=id_of(request),
            workflow_id="w",
            workflow_run_id="r",
            reply_topic="t",
            reply_cursor={0: cursor},
            deadline=datetime.now(tz=UTC) + timedelta(minutes=10),
        )

    async def scenario() -> None:
        # Given a reader, and one who waits in vain, for whom the past is being scanned
        async with ReplyReader.lease(KafkaSettings(_env_file=None), "t") as reader:
            await reader.ready(10)
            in_vain = asyncio.create_task(reader.wait(pending(1, 0)))
            while not reader._catch_up.scanned:  # noqa: ASYNC110 - the scan has no event to tell of its middle
                await asyncio.sleep(0.001)
            # When the topic is made anew in the middle of it, and holds another's answer
            log.make_anew()
            await asyncio.sleep(1)
            publish(2)
            await asyncio.sleep(1)
            # Then the other is served while the first still waits
            async with asyncio.timeout(60):
                reply = await reader.wait(pending(2, BEFORE))
            assert reply.event.correlation_id == id_of(2)
            assert not in_vain.done()
            in_vain.cancel()

    for _ in range(BEFORE):
        publish(0)
    loop.run(scenario())

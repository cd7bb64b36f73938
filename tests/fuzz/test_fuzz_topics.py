"""A real worker and a real waiter, while strangers write whatever they like into every topic.

``make fuzz`` runs it with 100,000 messages, the suite with 5,000; ``FUZZ_SEED`` repeats a run.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from langgraph_integration import WorkflowWorker
from langgraph_integration.dead_letters import Refusal, read_request
from tests.fuzz.corpus import COUNT, SEED, corpus
from tests.fuzz.messages import FuzzMessage
from tests.integration.worker.graphs import Ledger, State, one_node
from tests.integration.worker.observing import eventually, everything_committed, quick, records
from workflow_events import AsyncWorkflowClient, KafkaSettings
from workflow_events.dead_letters import read_letters
from workflow_events.events import REQUESTS
from workflow_events.testing.kafka_sources import Broker
from workflow_events.transport import aio

ROUNDS = 5
MAX_BYTES = 50_000
WAITERS = 3
MOST_GROWTH = 60  # MiB between the first round and the last; a leak of all messages' bytes would be more at 100,000
PAGE = 4096


def resident() -> float:
    """MiB of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


def expected_end(message: FuzzMessage) -> str:
    """What is to become of a message on the requests topic."""
    try:
        event = read_request(message.value, max_bytes=MAX_BYTES)
    except Refusal as refusal:
        return refusal.code.value
    return "run" if event.event_type in REQUESTS else "ignored"


async def publish_all(settings: KafkaSettings, topic: str, messages: list[FuzzMessage]) -> list[tuple[int, int]]:
    """Publish messages as they are, and return where each lies."""
    producer = await aio.start_producer(settings)
    try:
        sent = []
        for message in messages:
            key = b"" if message.key is None and message.value is None else message.key  # aiokafka wants one of the two
            sent.append(await producer.send(topic, message.value, key, headers=list(message.headers)))
        return [(one.partition, one.offset) for one in await asyncio.gather(*sent)]
    finally:
        await producer.stop()


@pytest.mark.slow
@pytest.mark.timeout(120 + COUNT // 25)
async def test_nothing_that_strangers_write_stops_a_worker_or_a_waiter_and_all_of_it_is_accounted_for(
    embedded_broker: Broker, embedded_settings: KafkaSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # pytest keeps each line that is logged, and asyncio's debug mode a stack for each call: neither is the worker's memory.
    caplog.set_level(logging.ERROR, logger="langgraph_integration")
    asyncio.get_running_loop().set_debug(enabled=False)
    settings = embedded_settings.replace(max_read_bytes=MAX_BYTES)
    requests, ledger = settings.workflow_events_topic, Ledger(tmp_path)
    # The waited-for runs hold the commit floor until the end, and a partition pauses behind it after max_uncommitted.
    # A session longer than a busy machine's hiccups: a rebalance would have some messages handled twice.
    options = quick(embedded_broker, concurrency=32, session_timeout=10.0, max_uncommitted=COUNT)
    share = COUNT // ROUNDS
    rubbish = [corpus(share // 2, salt=number) for number in range(ROUNDS)]
    ids = tuple(uuid4() for _ in range(WAITERS))
    others = corpus(share - share // 2, known=ids, salt=ROUNDS)

    async def echo(state: State) -> State:
        return {}

    async def wait(state: State) -> State:
        await ledger.gate("end")
        return {"n": state["n"] + 1}

    served = {"echo": one_node(echo), "wait": one_node(wait)}
    worker = WorkflowWorker(settings, served, worker_settings=options)
    async with worker.running(), AsyncWorkflowClient(settings) as client:
        # Given some who wait for a run that takes its time
        pending = [await client.submit("wait", {"n": n}, timeout=3600, correlation_id=one) for n, one in enumerate(ids)]
        waiting = [asyncio.create_task(client.wait(one)) for one in pending]
        # When strangers write into every topic
        ends: dict[tuple[int, int], str] = {}
        memory = []
        for messages in rubbish:
            places = await publish_all(settings, requests, messages)
            ends.update(zip(places, map(expected_end, messages), strict=True))
            topics = (
                settings.workflow_results_topic,
                settings.workflow_progress_topic,
                settings.workflow_control_topic,
            )
            for turn, topic in enumerate(topics):
                await publish_all(settings, topic, others[turn::3])
            # Then the worker gets through with every one
            await eventually(lambda: worker.counts.total() >= len(ends), timeout=60 + share / 20)
            memory.append(resident())
        # And nobody was given anything that is not theirs
        assert not any(one.done() for one in waiting), SEED
        ledger.open_gate("end")
        answers = await asyncio.gather(*waiting)
        assert [one.raise_for_status().result["n"] for one in answers] == [n + 1 for n in range(WAITERS)]
        # And no partition has stalled
        await everything_committed(settings, options.group_id)
    await accounted_for(settings, ends, worker.counts)
    assert memory[-1] - memory[0] < MOST_GROWTH, (SEED, memory)


async def accounted_for(settings: KafkaSettings, ends: dict[tuple[int, int], str], counts: Counter[str]) -> None:
    """Each message is where it belongs: among the dead letters with its reason, answered, or ignored by rule."""
    read: list[Any] = await records(settings, settings.dead_letter_topic(settings.workflow_events_topic))
    letters = read_letters(read)
    found = {(letter.origin.partition, letter.origin.offset): letter for letter in letters}
    assert len(found) == len(letters), f"a letter was written twice; seed {SEED}"
    for place, end in ends.items():
        letter = found.pop(place, None)
        if end in {"run", "ignored"}:
            # What runs may be for no graph of ours, or want its answer nowhere.
            assert letter is None or (end == "run" and letter.code in {"unknown-graph", "undeliverable"}), (SEED, place)
        else:
            assert letter is not None, (SEED, place, end)
            assert letter.code == end, (SEED, place)
    assert found == {}
    expected = Counter(ends.values())
    assert counts["ignored"] == expected["ignored"]
    assert counts["answered"] + counts["unknown-graph"] + counts["undeliverable"] == expected["run"] + WAITERS
    assert all(counts[code] == expected[code] for code in ("invalid-json", "wrong-schema", "oversize"))

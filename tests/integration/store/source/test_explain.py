"""``workflow-events explain`` follows a request through its life, on every broker."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from typer.testing import CliRunner, Result

from result_store.records import RunState, TimelineEntry
from tests.integration.store.source.answering import StoreApi
from tests.integration.store.source.conftest import finished, long_ago
from tests.integration.store.source.test_second_source import event, publish
from workflow_events import KafkaSettings, WorkflowClient
from workflow_events.cli import app
from workflow_events.events import EventType, WorkflowEvent, WorkflowEventPayload
from workflow_events.identifiers import new_event_id
from workflow_events.testing.apache_kafka import ApacheKafka
from workflow_events.testing.kafka_sources import Broker
from workflow_events.transport import aio
from workflow_events.wire import about_message

Explain = Callable[..., Result]


@pytest.fixture
def explain(monkeypatch: pytest.MonkeyPatch, settings: KafkaSettings) -> Explain:
    """Run the command with these settings in its environment."""
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        if value is not None:
            text = value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
            monkeypatch.setenv(f"KAFKA_{name.upper()}", text)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["explain", *map(str, arguments)])

    return run


async def say(settings: KafkaSettings, about: uuid.UUID, what: EventType, **data: Any) -> None:
    told = WorkflowEvent(
        event_type=what,
        source="langgraph",
        workflow_id="w",
        workflow_run_id="r",
        payload=WorkflowEventPayload(data={"correlation_id": str(about), "worker": "w-1", **data}),
    )
    producer = await aio.start_producer(settings)
    try:
        await aio.send(producer, about_message(told, topic=settings.workflow_progress_topic, correlation_id=about), 30)
    finally:
        await producer.stop()


async def test_a_request_is_explained_at_every_step(
    kafka_broker: Broker,
    settings: KafkaSettings,
    store: StoreApi,
    explain: Explain,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given an id that nobody has published, and a group that no other test has workers in
    group = f"workers-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("KAFKA_WORKFLOW_WORKER_GROUP", group)
    unknown = await asyncio.to_thread(explain, new_event_id())
    assert unknown.exit_code == 1
    assert "never published: there is no request with this id" in unknown.stdout
    # When it is published, and there is no worker
    with WorkflowClient(settings) as client:
        asked = await asyncio.to_thread(lambda: client.submit("w", {"n": 1}, timeout=600).correlation_id)
    published = await asyncio.to_thread(explain, asked)
    # Then the command says so, and what the broker tells of the workers' group
    assert published.exit_code == 1
    assert "published for workflow 'w', attempt 1" in published.stdout
    assert "never accepted: " in published.stdout
    if isinstance(kafka_broker, ApacheKafka):
        assert f"there is no group `{group}`: no worker has ever run in it here" in published.stdout
    # When a worker has taken it, beats and begins
    await say(settings, asked, EventType.WORKFLOW_ACCEPTED, heartbeat_interval=60)
    assert "by worker w-1, never begun: worker w-1 is alive" in (await asyncio.to_thread(explain, asked)).stdout
    await say(settings, asked, EventType.WORKFLOW_PROGRESS, kind="node_started", node="plan\x1b[2J")
    running = await asyncio.to_thread(explain, asked)
    assert "not finished: worker w-1 is still at it, in node" in running.stdout
    assert "\x1b" not in running.stdout
    # When the result is there, it is finished, for scripts too
    await publish(settings, event(asked, {"n": 2}))
    done = await asyncio.to_thread(explain, asked, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["finished"], told["status"], told["missing"]) == (True, "success", None)
    assert [one["what"].split()[0] for one in told["timeline"]] == ["published", "accepted", "plan\x1b[2J", "result:"]
    assert told["store"] == {"url": store.url, "state": None}
    assert "a-secret" not in done.output


@pytest.mark.kafka_brokers("apache")
async def test_a_group_without_members_is_named_and_so_is_what_lies_before_the_request(
    settings: KafkaSettings, explain: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a group whose only worker has gone, having committed nothing of three requests in one partition
    group = f"workers-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("KAFKA_WORKFLOW_WORKER_GROUP", group)
    consumer = AIOKafkaConsumer(
        settings.workflow_events_topic, bootstrap_servers=settings.bootstrap_servers, group_id=group,
        enable_auto_commit=False, auto_offset_reset="earliest",
    )  # fmt: skip
    await consumer.start()
    with WorkflowClient(settings) as client:
        asked = [
            (await asyncio.to_thread(lambda: client.submit("w", {}, thread_id="t", timeout=600))).correlation_id
            for _ in range(3)
        ]
    await consumer.getmany(timeout_ms=5000)
    # While it is there, and when it has gone
    with_member = await asyncio.to_thread(explain, asked[-1])
    await consumer.stop()
    without = await asyncio.to_thread(explain, asked[-1])
    # Then each is told
    assert f"group `{group}` has 1 member, and the group has not come to it" in with_member.stdout
    assert "with 2 messages before it" in with_member.stdout
    assert f"never accepted: group `{group}` has no members: no worker runs. Start one" in without.stdout


@pytest.mark.kafka_brokers("embedded")
async def test_what_only_the_store_knows_is_told_also_without_a_broker(
    settings: KafkaSettings, store: StoreApi, explain: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a request of long ago that the store has kept
    asked = long_ago()
    run = finished(asked, RunState.FAILURE, error="it says no")
    steps = [TimelineEntry(at=run.updated_at, kind="accepted", worker="w-9")]
    store.keep(run.model_copy(update={"timeline": steps}))
    # When it is explained, with a broker and without
    there = await asyncio.to_thread(explain, asked)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
    monkeypatch.setenv("KAFKA_CONNECT_TIMEOUT", "1")
    alone = await asyncio.to_thread(explain, asked)
    # Then the store's history is told, and in the second case what could not be read
    for said in (there, alone):
        assert said.exit_code == 0, said.output
        assert "with status failure; the topic keeps it no longer; the result store has it" in said.stdout
        assert "accepted by w-9" in said.stdout
    assert "Not read: requests: " in alone.stdout

"""Large data and large results through a store, a folder's and a bucket's: the whole way, and what is told where it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import from_url

from airflow_integration import WorkflowResultPoller
from langgraph_integration import WorkflowWorker
from tests.integration.worker.graphs import one_node
from tests.integration.worker.observing import quick, records
from workflow_events import (
    AsyncWorkflowClient,
    ClaimCheckError,
    ConfigurationError,
    EventType,
    KafkaSettings,
    MessageTooLargeError,
    ObjectStoreError,
    WorkflowClient,
    WorkflowEventProducer,
    wire,
)
from workflow_events.payloads import Payloads
from workflow_events.signing_keys import new_key
from workflow_events.testing.kafka_sources import Broker
from workflow_events.testing.processes import LOOPBACK, free_port
from workflow_events.testing.s3 import S3Server

pytestmark = pytest.mark.kafka_brokers("embedded")

# More than a message may have, so that nothing works without the store.
TEXT = "x" * 1_500_000


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store's name for the settings; what else is needed to reach it is in the environment."""
    if request.param == "folder":
        return str(tmp_path / "payloads")
    server: S3Server = request.getfixturevalue("s3")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return f"{server.create_bucket('payloads')}/{tmp_path.name}"


@pytest.fixture
def checked(kafka_settings: KafkaSettings, store: str) -> KafkaSettings:
    return kafka_settings.replace(claim_check_store=store)


def worker(broker: Broker, settings: KafkaSettings, node: Callable[[Any], Any]) -> WorkflowWorker:
    return WorkflowWorker(settings, {"repeat": one_node(node)}, worker_settings=quick(broker))


def repeat(state: Any) -> Any:
    return {"other": state["other"], "n": len(state["other"])}


async def test_large_data_and_large_results_take_the_whole_way(kafka_broker: Broker, checked: KafkaSettings) -> None:
    # Given a worker and requesters that share a store, and keys besides
    settings = checked.replace(signing_keys=new_key("k", bytes(32)))
    data = {"other": TEXT}
    async with worker(kafka_broker, settings, repeat).running(), AsyncWorkflowClient(settings) as client:
        # When both clients, and a producer with a poller, ask with more than a message holds
        answers = [await client.request("repeat", data, timeout=60)]
        with WorkflowClient(settings) as sync_client:
            answers.append(await asyncio.to_thread(sync_client.request, "repeat", data, timeout=60))
            gathered = await asyncio.to_thread(sync_client.gather, "repeat", [data, {"other": "small"}], timeout=60)
        with WorkflowEventProducer(settings=settings) as producer:
            event = await asyncio.to_thread(
                producer.publish_workflow_event, EventType.WORKFLOW_TRIGGERED, "repeat", "r", {"data": data}
            )
        with WorkflowResultPoller(timeout=60, settings=settings) as poller:
            polled = await asyncio.to_thread(poller.poll_for_result, event.event_id)
        both = await client.gather("repeat", [data, {"other": "small"}], timeout=60)
    # Then each has the whole of it back
    whole = {"other": TEXT, "n": len(TEXT)}
    assert all(answer.result == whole for answer in answers)
    assert polled is not None
    assert polled["result"] == whole
    for results in (gathered, both):
        assert [one and one.result for one in results] == [whole, {"other": "small", "n": 5}]
    # And what went through Kafka was small
    for topic in (settings.workflow_events_topic, settings.workflow_results_topic):
        assert max(len(record.value) for record in await records(settings, topic)) < 2_000


async def test_without_a_store_the_same_data_are_too_large(kafka_settings: KafkaSettings) -> None:
    async with AsyncWorkflowClient(kafka_settings) as client:
        with pytest.raises(MessageTooLargeError, match="a reference instead"):
            await client.request("repeat", {"other": TEXT}, timeout=10)


async def test_data_that_are_gone_are_answered_with_an_error_that_says_so(
    kafka_broker: Broker, checked: KafkaSettings
) -> None:
    async with AsyncWorkflowClient(checked) as client:
        # Given a request whose data have been deleted from the store
        pending = await client.submit("repeat", {"other": TEXT}, timeout=60)
        held = store_of(checked)
        (path,) = [found["path"] for batch in obstore.list(held) for found in batch]
        obstore.delete(held, path)
        # When a worker takes it up
        async with worker(kafka_broker, checked, repeat).running():
            answer = await client.wait(pending)
    # Then the requester hears why, and that asking again as it is does not help
    assert answer.status == "error"
    assert answer.error_detail is not None
    assert answer.error_detail.type == "workflow_events.errors.ClaimCheckError"
    assert answer.error_detail.retryable is False
    assert "is not in the store" in answer.error_detail.message


async def test_a_result_that_was_changed_in_the_store_is_refused_by_each_reader(
    kafka_broker: Broker, checked: KafkaSettings
) -> None:
    # Given a result in the store, changed by somebody who may write there
    async with AsyncWorkflowClient(checked) as client:
        async with worker(kafka_broker, checked, repeat).running():
            answer = await client.request("repeat", {"other": TEXT}, timeout=60)
        held = store_of(checked)
        (path,) = [f["path"] for b in obstore.list(held, prefix="results") for f in b]
        body = bytes(obstore.get(held, path).bytes())
        obstore.put(held, path, body.replace(b"xxx", b"yyy", 1))
        # When it is read, then nobody is given it
        with WorkflowResultPoller(timeout=20, settings=checked) as poller:
            pending = await asyncio.to_thread(poller.pending_for, answer.correlation_id)
            with pytest.raises(ClaimCheckError, match="changed after it was put there"):
                await asyncio.to_thread(poller.wait, pending)
        with pytest.raises(ClaimCheckError, match="changed after it was put there"):
            await client.wait(pending)


def test_a_store_that_does_not_answer_is_told_and_may_be_tried_again(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT", f"http://{LOOPBACK}:{free_port()}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "access-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-bucket")
    settings = kafka_settings.replace(claim_check_store="s3://payloads", request_timeout=1)
    event = wire.decode_result(
        b'{"correlation_id": "018f0000-0000-7000-8000-000000000000", "workflow_id": "w", "workflow_run_id": "r", '
        b'"timestamp": "2026-01-01T00:00:00Z", "claim_check": {"sha256": "' + b"a" * 64 + b'", "size": 2, '
        b'"expires_at": "2100-01-01T00:00:00Z"}}'
    )

    with pytest.raises(ObjectStoreError, match=r"Cannot take .*'s3://payloads'.* reached from here") as caught:
        Payloads(settings).take(event)

    assert caught.value.retryable
    assert "secret-of-the-bucket" not in f"{caught.value}{caught.value.__cause__}"


async def test_a_store_is_there_before_anything_is_in_it_and_a_bucket_that_is_not_is_told(
    checked: KafkaSettings, store: str
) -> None:
    await Payloads(checked).aping()
    if "://" in store:
        with pytest.raises(ConfigurationError, match="no such place"):
            await Payloads(checked.replace(claim_check_store="s3://no-such-bucket")).aping()


def store_of(settings: KafkaSettings) -> Any:
    """The store itself, for who deletes and changes what is there."""
    url = settings.claim_check_store or ""
    return from_url(url if "://" in url else Path(url).as_uri())

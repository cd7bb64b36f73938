"""Publishing results without a worker."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_integration import ResultProducer, UnserializableError, run_and_publish
from tests.integration.worker import graphs
from tests.integration.worker.graphs import Ledger, one_node
from tests.integration.worker.observing import records, results
from workflow_events import (
    BrokerUnavailableError,
    EventType,
    InvalidEventError,
    KafkaSettings,
    ResultStatus,
    TopicNotFoundError,
    WorkflowEvent,
    WorkflowEventPayload,
    WorkflowEventsError,
)
from workflow_events.testing.processes import free_port
from workflow_events.wire import ReturnAddress


def request(n: int = 1) -> WorkflowEvent:
    return WorkflowEvent(
        event_type=EventType.WORKFLOW_TRIGGERED,
        source="fastapi",
        workflow_id="w",
        workflow_run_id="r",
        payload=WorkflowEventPayload(data={"n": n}),
    )


async def test_a_result_is_published_by_the_names_that_the_contract_gives(kafka_settings: KafkaSettings) -> None:
    # Given a producer by brokers and topic alone
    identity = uuid4()
    async with ResultProducer(kafka_settings.bootstrap_servers, kafka_settings.workflow_results_topic) as producer:
        # When a result with anything in it is published, by its id as text
        await producer.publish_result(str(identity), "w", "r", {"seen": {UUID(int=7)}, "raw": b"\x00"})
        await producer.publish_result(uuid4(), "w", "r", None, status="failure", error="no")
    # Then it is in the topic, as plain JSON, with its id in the header
    by_id = {result.correlation_id: result for result in await results(kafka_settings)}
    assert by_id.pop(identity).result == {"seen": [str(UUID(int=7))], "raw": "AA=="}
    (other,) = by_id.values()
    assert (other.status, other.error, other.result) == (ResultStatus.FAILURE, "no", {})
    found = await records(kafka_settings, kafka_settings.workflow_results_topic)
    assert str(identity).encode() in {dict(record.headers)["correlation-id"] for record in found}


def test_arguments_are_attributes_and_the_settings_fill_the_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:1")
    monkeypatch.setenv("KAFKA_WORKFLOW_RESULTS_TOPIC", "answers")
    default, given = ResultProducer(), ResultProducer("other:2", "elsewhere")
    assert (default.bootstrap_servers, default.topic) == ("broker:1", "answers")
    assert (given.bootstrap_servers, given.topic) == ("other:2", "elsewhere")
    own = ResultProducer(settings=KafkaSettings(bootstrap_servers="own:3", client_id="me"), topic="t")
    assert (own.bootstrap_servers, own.topic, own.settings.client_id) == ("own:3", "t", "me")


async def test_what_cannot_be_published_is_said(embedded_settings: KafkaSettings) -> None:
    async with ResultProducer(settings=embedded_settings) as producer:
        with pytest.raises(UnserializableError, match=r"result\.sockets\[0\]"):
            await producer.publish_result(uuid4(), "w", "r", {"sockets": [object()]})
        with pytest.raises(InvalidEventError, match="correlation_id"):
            await producer.publish_result("no id", "w", "r", {})
        with pytest.raises(InvalidEventError, match="status"):
            await producer.publish_result(uuid4(), "w", "r", {}, status="splendid")
    with pytest.raises(WorkflowEventsError, match="not started"):
        await producer.publish_result(uuid4(), "w", "r", {})
    assert await results(embedded_settings) == []


async def test_starting_and_stopping_twice_does_no_harm(embedded_settings: KafkaSettings) -> None:
    producer = ResultProducer(settings=embedded_settings)
    await producer.start()
    await producer.start()
    await producer.publish_result(uuid4(), "w", "r", {})
    await producer.stop()
    await producer.stop()
    assert len(await results(embedded_settings)) == 1


async def test_a_topic_that_is_not_there_is_named(embedded_settings: KafkaSettings) -> None:
    async with ResultProducer(settings=embedded_settings, topic=f"missing-{uuid4().hex}") as producer:
        with pytest.raises(TopicNotFoundError, match="missing-"):
            await producer.publish_result(uuid4(), "w", "r", {})


async def test_a_broker_that_is_not_there_is_named() -> None:
    settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}", connect_timeout=0.5)
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1"):
        await ResultProducer(settings=settings).start()


async def test_a_graph_runs_and_its_result_is_published(kafka_settings: KafkaSettings) -> None:
    event = request(4)
    async with ResultProducer(settings=kafka_settings) as producer:
        result = await run_and_publish(one_node(graphs.add).compile(), event, producer)
    assert (result.status, result.result) == (ResultStatus.SUCCESS, {"n": 5})
    assert [found.correlation_id for found in await results(kafka_settings)] == [event.event_id]


async def test_a_graph_that_breaks_is_published_too(embedded_settings: KafkaSettings) -> None:
    async with ResultProducer(settings=embedded_settings) as producer:
        result = await run_and_publish(one_node(graphs.break_down).compile(), request(), producer)
    assert result.status is ResultStatus.ERROR
    (published,) = await results(embedded_settings)
    assert published.error_detail == result.error_detail


async def test_a_graph_that_has_run_for_this_request_is_not_run_again(
    embedded_settings: KafkaSettings, tmp_path: Path
) -> None:
    # Given a graph with checkpoints, and a request that it has answered
    ledger, event = Ledger(tmp_path), request(1)
    ledger.open_gate("second")
    graph = graphs.three_steps(ledger).compile(checkpointer=InMemorySaver())
    async with ResultProducer(settings=embedded_settings) as producer:
        # When it is asked again, with another return address
        first = await run_and_publish(graph, event, producer)
        again = await run_and_publish(
            graph, event, producer, address=ReturnAddress(embedded_settings.workflow_progress_topic)
        )
    # Then the same result is published there, and nothing ran
    assert first.result == again.result == graphs.expected(1)
    assert len(ledger.lines(node="first", what="begin")) == 1
    assert len(await records(embedded_settings, embedded_settings.workflow_progress_topic)) == 1

"""Where keys are set, what nobody signed, a stranger signed or somebody made of a real message changes nothing."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from airflow_integration import WorkflowResultPoller
from langgraph_integration import WorkflowWorker
from tests.integration.trust.messages import progress, request, result
from tests.integration.worker.graphs import Ledger, State, expected, one_node, three_steps
from tests.integration.worker.observing import eventually, everything_committed, quick, records
from workflow_events import (
    AsyncWorkflowClient,
    EventType,
    KafkaSettings,
    NotAcceptedError,
    PendingRequest,
    ResultStatus,
    ResultUnavailableError,
    WorkflowClient,
)
from workflow_events.replies.async_reader import ReplyReader
from workflow_events.replies.read_back import read_back
from workflow_events.replies.records import RecordPosition
from workflow_events.requests import cancel_message
from workflow_events.signing import Signatures
from workflow_events.testing.kafka_sources import Broker
from workflow_events.transport import aio
from workflow_events.wire import OutgoingMessage

OURS = f"now:{base64.b64encode(b'n' * 32).decode()},before:{base64.b64encode(b'b' * 32).decode()}"
BEFORE = f"before:{base64.b64encode(b'b' * 32).decode()}"
THEIRS = f"now:{base64.b64encode(b'x' * 32).decode()}"


@pytest.fixture
def signing(kafka_settings: KafkaSettings) -> KafkaSettings:
    return kafka_settings.replace(signing_keys=OURS)


def signed(message: OutgoingMessage, keys: str) -> OutgoingMessage:
    signatures = Signatures.of(KafkaSettings(_env_file=None, signing_keys=keys))
    assert signatures is not None
    return signatures.sign(message)


def readdressed(message: OutgoingMessage, correlation_id: UUID) -> OutgoingMessage:
    """A genuine message, made to say that it is about another request."""
    others = [(name, value) for name, value in message.headers if name != "correlation-id"]
    return replace(message, headers=[("correlation-id", str(correlation_id).encode()), *others])


def forgeries(settings: KafkaSettings, correlation_id: UUID) -> list[OutgoingMessage]:
    """Answers to a live request by somebody who may write to the topic and has no key."""
    wrong = {"n": "forged"}
    plain = result(settings, correlation_id, wrong, attempt=1)
    elsewhere = signed(result(settings, uuid4(), wrong, attempt=1), OURS)
    return [
        plain,
        replace(plain, headers=[]),
        replace(plain, headers=[*plain.headers, ("signature", b"v1=" + b"0" * 64), ("signature-key-id", b"now")]),
        signed(plain, THEIRS),
        readdressed(elsewhere, correlation_id),
        replace(elsewhere, value=plain.value),
        replace(signed(request(settings, {}, event_id=correlation_id), OURS), topic=settings.workflow_results_topic),
        replace(plain, value=b"\xff{"),
    ]


@asynccontextmanager
async def stranger(settings: KafkaSettings) -> AsyncIterator[Any]:
    """Somebody who may write to every topic, and has no key."""
    producer = await aio.start_producer(settings.replace(signing_keys=None))

    async def publish(*messages: OutgoingMessage) -> None:
        for message in messages:
            await aio.send(producer, message)

    try:
        yield publish
    finally:
        await producer.stop()


async def test_a_forged_result_never_reaches_a_waiter_while_the_real_one_does(signing: KafkaSettings) -> None:
    # Given waiters of both kinds for live requests
    async with AsyncWorkflowClient(signing) as client, stranger(signing) as publish:
        with WorkflowClient(signing) as sync_client:
            pending = await client.submit("add", {"n": 1}, timeout=30)
            waiting = [
                asyncio.create_task(client.wait(pending)),
                asyncio.create_task(asyncio.to_thread(sync_client.wait, pending)),
            ]
            # When a stranger answers, in every way that a stranger can, and then the worker does
            forged = forgeries(signing, pending.correlation_id)
            await publish(*forged)
            await publish(signed(result(signing, pending.correlation_id, {"n": 2}, attempt=1), OURS))
            # Then both have the worker's answer
            for answer in await asyncio.gather(*waiting):
                assert answer.result == {"n": 2}
            # And so has who looks for it later, from what was read or from the log
            assert (await client.wait(pending)).result == {"n": 2}
        async with ReplyReader.lease(signing, signing.workflow_results_topic) as reader:
            assert reader.counts.untrusted >= len(forged)
            assert reader.counts.malformed == reader.counts.foreign == 0
    async with AsyncWorkflowClient(signing) as late:
        assert (await late.wait(pending)).result == {"n": 2}
    with WorkflowResultPoller(timeout=20, settings=signing) as poller:
        found = await asyncio.to_thread(poller.poll_for_result, pending.correlation_id)
        assert found is not None
        assert found["result"] == {"n": 2}


async def test_a_forged_result_alone_leaves_the_waiter_waiting(signing: KafkaSettings) -> None:
    async with AsyncWorkflowClient(signing) as client, stranger(signing) as publish:
        pending = await client.submit("add", {"n": 1}, timeout=3)
        await publish(*forgeries(signing, pending.correlation_id))

        with pytest.raises(TimeoutError):
            await client.wait(pending)


async def test_a_reference_to_a_forged_result_is_not_read_back(signing: KafkaSettings) -> None:
    # Given a forged result, and a reference to its place
    correlation_id = uuid4()
    async with stranger(signing) as publish:
        await publish(result(signing, correlation_id, {"n": "forged"}))
    (forged,) = await records(signing, signing.workflow_results_topic)
    position = RecordPosition(signing.workflow_results_topic, forged.partition, forged.offset)
    # When it is read back, then it is as if there were nothing
    with pytest.raises(ResultUnavailableError):
        await asyncio.to_thread(read_back, signing, {position: correlation_id})


async def test_a_forged_request_starts_no_graph_and_gets_no_answer(
    kafka_broker: Broker, signing: KafkaSettings, tmp_path: Path
) -> None:
    # Given a worker with keys
    ledger, options = Ledger(tmp_path), quick(kafka_broker)

    def note(state: Any) -> Any:
        ledger.note(str(state["n"]), "node", "begin")
        return {"n": state["n"] + 1}

    worker = WorkflowWorker(signing, {"add": one_node(note)}, worker_settings=options)
    async with worker.running(), stranger(signing) as publish, AsyncWorkflowClient(signing) as client:
        # When requests come that are forged, broken, or real ones with another return address or id
        real = signed(request(signing, {"n": 666}), OURS)
        plain = request(signing, {"n": 666})
        await publish(
            plain,
            signed(plain, THEIRS),
            replace(plain, value=b"{"),
            replace(plain, headers=[]),
            readdressed(real, uuid4()),
            replace(real, headers=[(n, b"eavesdropper" if n == "reply-topic" else v) for n, v in real.headers]),
            replace(signed(result(signing, uuid4(), {}), OURS), topic=signing.workflow_events_topic),
        )
        # And one that is genuine
        assert (await client.request("add", {"n": 1}, timeout=30)).result == {"n": 2}
        # Then all are done with, and the graph has run for one
        await everything_committed(signing, options.group_id)
    assert [line[0] for line in ledger.lines()] == ["1"]
    # And nobody else was answered, nor was anything buried under a name that is not its sender's
    assert len(await records(signing, signing.workflow_results_topic)) == 1
    assert await records(signing, signing.dead_letter_topic(signing.workflow_events_topic)) == []


async def test_a_forged_cancel_stops_no_run_while_the_real_one_does(
    kafka_broker: Broker, signing: KafkaSettings, tmp_path: Path
) -> None:
    # Given a worker with keys, and two runs that wait in their second node
    ledger = Ledger(tmp_path)
    worker = WorkflowWorker(signing, {"three": three_steps(ledger)}, worker_settings=quick(kafka_broker))
    async with worker.running(), stranger(signing) as publish, AsyncWorkflowClient(signing) as client:
        mine, other = [await client.submit("three", {"n": n}, timeout=60) for n in range(2)]
        await eventually(lambda: len(ledger.lines(node="second", what="begin")) == 2)
        # When a stranger cancels one, in every way that a stranger can, and then its owner the other, all in one partition
        plain = cancel_message(signing, mine, source="airflow", reason="forged")
        elsewhere = signed(cancel_message(signing, other, source="airflow"), OURS)
        forged = [
            plain,
            replace(plain, headers=[]),
            signed(plain, THEIRS),
            readdressed(elsewhere, mine.correlation_id),
            replace(elsewhere, value=plain.value),
            replace(signed(request(signing, {}, event_id=mine.correlation_id), OURS), topic=plain.topic),
        ]
        await publish(*(replace(one, key=plain.key) for one in [*forged, elsewhere]))
        # Then the other is stopped
        assert (await client.wait(other)).status is ResultStatus.CANCELLED
        # And what lay before that cancel has stopped nothing
        ledger.open_gate("second")
        answer = await client.wait(mine)
        assert (answer.status, answer.result) == (ResultStatus.SUCCESS, expected(0))


async def test_forged_progress_keeps_no_clock_from_running_out_and_is_not_told(signing: KafkaSettings) -> None:
    async with AsyncWorkflowClient(signing) as client, stranger(signing) as publish:
        # Given a request that no worker has taken
        pending = await client.submit("add", {"n": 1}, timeout=60)
        forged = [
            progress(signing, pending, one) for one in (EventType.WORKFLOW_ACCEPTED, EventType.WORKFLOW_HEARTBEAT)
        ]
        # When a stranger says that one has
        await publish(*forged, *(signed(one, THEIRS) for one in forged), *(replace(one, headers=[]) for one in forged))
        # Then the clock runs out all the same
        with pytest.raises(NotAcceptedError):
            await client.wait(pending, accepted_timeout=1.5)
        # And who follows hears the worker alone
        await publish(signed(forged[0], OURS), signed(result(signing, pending.correlation_id, {}), OURS))
        heard = [event.event_type async for event in client.progress(pending)]
        assert heard == [EventType.WORKFLOW_ACCEPTED]


@pytest.mark.kafka_brokers("embedded")
async def test_a_run_is_followed_and_timed_where_keys_are_set(kafka_broker: Broker, signing: KafkaSettings) -> None:
    # Given a worker with keys, whose progress is signed, and a second run that does not end before it is heard
    been_heard = asyncio.Event()

    async def add(state: State) -> State:
        if state["n"] == 2:
            await been_heard.wait()
        return {"n": state["n"] + 1}

    worker = WorkflowWorker(
        signing,
        {"add": one_node(add)},
        worker_settings=quick(kafka_broker, heartbeat_interval=0.2),
    )
    async with worker.running(), AsyncWorkflowClient(signing) as client:
        # When it is asked with clocks, then it answers
        answer = await client.request("add", {"n": 1}, timeout=60, accepted_timeout=30, heartbeat_timeout=30)
        assert answer.result == {"n": 2}
        # And is heard
        pending = await client.submit("add", {"n": 2}, timeout=60)
        heard = []
        async for event in client.progress(pending):
            heard.append(event.event_type)
            been_heard.set()
        assert heard[0] == EventType.WORKFLOW_ACCEPTED


@pytest.mark.kafka_brokers("embedded")
async def test_keys_are_changed_while_messages_are_under_way(kafka_broker: Broker, signing: KafkaSettings) -> None:
    # Given a worker that has the new key and the old one, and a requester that has only the old
    older = signing.replace(signing_keys=BEFORE)
    worker = WorkflowWorker(
        signing.replace(signing_keys=f"{BEFORE},{OURS.split(',', maxsplit=1)[0]}"),
        {"add": one_node(lambda state: {"n": state["n"] + 1})},
        worker_settings=quick(kafka_broker),
    )
    async with worker.running(), AsyncWorkflowClient(older) as old, AsyncWorkflowClient(signing) as new:
        # When requesters with the old key, and with the new one in front, ask
        # Then both are answered
        assert (await old.request("add", {"n": 1}, timeout=30)).result == {"n": 2}
        assert (await new.request("add", {"n": 2}, timeout=30)).result == {"n": 3}


@pytest.mark.kafka_brokers("embedded")
async def test_a_cancel_carries_a_signature_over_its_type(signing: KafkaSettings) -> None:
    pending = PendingRequest(
        correlation_id=uuid4(),
        workflow_id="add",
        workflow_run_id="r",
        reply_topic=signing.workflow_results_topic,
        reply_cursor={},
        deadline="2100-01-01T00:00:00Z",
    )
    async with AsyncWorkflowClient(signing) as client:
        await client.cancel(pending)

    (cancel,) = await records(signing, signing.workflow_control_topic)

    signatures = Signatures.of(signing)
    assert signatures is not None
    assert signatures.admits(cancel, frozenset({b"workflow.cancel"}))


@pytest.mark.kafka_brokers("embedded")
async def test_without_keys_nothing_is_signed_and_everybody_is_heard(
    kafka_broker: Broker, kafka_settings: KafkaSettings
) -> None:
    worker = WorkflowWorker(
        kafka_settings, {"add": one_node(lambda state: {"n": state["n"] + 1})}, worker_settings=quick(kafka_broker)
    )
    async with worker.running(), AsyncWorkflowClient(kafka_settings) as client, stranger(kafka_settings) as publish:
        pending = await client.submit("add", {"n": 1}, timeout=30)
        assert (await client.wait(pending)).result == {"n": 2}
        await publish(replace(request(kafka_settings, {"n": 2}), headers=[("reply-topic", b"")]))

    for topic in (kafka_settings.workflow_events_topic, kafka_settings.workflow_results_topic):
        for record in await records(kafka_settings, topic):
            assert "signature" not in dict(record.headers)

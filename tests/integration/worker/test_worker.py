"""The worker on every broker: each request has one right answer, and nothing is left uncommitted."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_integration import WorkflowWorker
from tests.integration.worker import graphs
from tests.integration.worker.graphs import Ledger, State, one_node
from tests.integration.worker.observing import (
    each_answered_once,
    eventually,
    everything_committed,
    lag,
    publish,
    quick,
    records,
    request,
    results,
)
from workflow_events import AsyncWorkflowClient, KafkaSettings, ResultStatus
from workflow_events.testing.kafka_sources import Broker
from workflow_events.wire import (
    HEADER_REPLY_PARTITION,
    HEADER_REPLY_TOPIC,
    OutgoingMessage,
    ReturnAddress,
    request_message,
)


async def test_a_thousand_requests_get_a_thousand_right_answers_and_all_are_committed(
    kafka_broker: Broker, kafka_settings: KafkaSettings
) -> None:
    # Given a worker and a client
    options = quick(kafka_broker, concurrency=50)
    worker = WorkflowWorker(kafka_settings, {"add": one_node(graphs.add)}, worker_settings=options)
    async with worker.running(), AsyncWorkflowClient(kafka_settings) as client:
        # When a thousand requests are made at once
        asked = [client.request("add", {"n": n}, timeout=60) for n in range(1000)]
        answers = await asyncio.gather(*asked)
        # Then each has its own answer
        assert [answer.raise_for_status().result for answer in answers] == [{"n": n + 1} for n in range(1000)]
        # And while the worker runs, what is committed reaches the end
        await everything_committed(kafka_settings, options.group_id)
    # And each was answered once
    await each_answered_once(kafka_settings, {answer.correlation_id for answer in answers})


@pytest.mark.parametrize(
    "workflow_id, status, error_type",
    [
        ("add", ResultStatus.SUCCESS, None),
        ("break_down", ResultStatus.ERROR, "builtins.ValueError"),
        ("say_no", ResultStatus.FAILURE, "langgraph_integration.errors.WorkflowFailure"),
        ("endless", ResultStatus.ERROR, "langgraph.errors.GraphRecursionError"),
        ("hang", ResultStatus.ERROR, "RunTimeout"),
        ("ask", ResultStatus.INTERRUPTED, None),
        ("hold", ResultStatus.ERROR, "UnserializableResult"),
        ("grow", ResultStatus.ERROR, "ResultTooLarge"),
        ("nobody", ResultStatus.ERROR, "UnknownGraph"),
    ],
)
async def test_every_request_gets_exactly_one_result_whatever_its_graph_does(
    embedded_broker: Broker,
    embedded_settings: KafkaSettings,
    workflow_id: str,
    status: ResultStatus,
    error_type: str | None,
) -> None:
    # Given a worker with graphs that do whatever graphs do
    nodes = (graphs.add, graphs.break_down, graphs.say_no, graphs.hang, graphs.ask, graphs.grow)
    served: dict[str, object] = {node.__name__: one_node(node) for node in nodes}
    served["endless"] = graphs.endless()
    served["hold"] = one_node(graphs.hold).compile(checkpointer=False)  # a checkpointer would refuse the state first
    options = quick(embedded_broker, run_timeout=0.5, recursion_limit=5)
    worker = WorkflowWorker(embedded_settings, served, worker_settings=options, checkpointer=InMemorySaver())
    # When one is asked for
    async with worker.running(), AsyncWorkflowClient(embedded_settings) as client:
        answer = await client.request(workflow_id, {"n": 1}, timeout=30)
        # Then the requester is told how it ended
        assert answer.status is status
        assert (answer.error_detail.type if answer.error_detail else None) == error_type
        # And its request is done with
        await everything_committed(embedded_settings, options.group_id)
    await each_answered_once(embedded_settings, {answer.correlation_id})


async def test_a_request_whose_deadline_has_passed_is_refused_without_a_run(
    embedded_broker: Broker, embedded_settings: KafkaSettings, tmp_path: Path
) -> None:
    # Given a request that was published while no worker was there, and whose time is over
    ledger = Ledger(tmp_path)
    await publish(embedded_settings, request("three", deadline=datetime.now(UTC) - timedelta(seconds=1)))
    # When a worker comes
    worker = WorkflowWorker(
        embedded_settings, {"three": graphs.three_steps(ledger)}, worker_settings=quick(embedded_broker)
    )
    async with worker.running():
        (answer,) = await eventually(lambda: results(embedded_settings))
    # Then it says so, and has run nothing
    assert answer.error_detail is not None
    assert answer.error_detail.type == "DeadlineExceeded"
    assert ledger.lines() == []


async def test_a_bare_message_of_a_stranger_is_answered(kafka_broker: Broker, kafka_settings: KafkaSettings) -> None:
    # Given a request with the contract's fields alone, no key and no headers
    event_id = uuid4()
    body = {
        "event_id": str(event_id),
        "event_type": "workflow.triggered",
        "timestamp": "2026-01-02T03:04:05+00:00",
        "source": "fastapi",
        "workflow_id": "add",
        "workflow_run_id": "run",
        "payload": {"data": {"n": 41}},
        "metadata": {"environment": "prod", "version": "1.0"},
        "a_field_of_theirs": [1],
    }
    value = json.dumps(body).encode()
    await publish(kafka_settings, OutgoingMessage(topic=kafka_settings.workflow_events_topic, value=value))
    # When a worker sees it
    worker = WorkflowWorker(kafka_settings, {"add": one_node(graphs.add)}, worker_settings=quick(kafka_broker))
    async with worker.running():
        (answer,) = await eventually(lambda: results(kafka_settings))
    # Then it is answered as any other
    assert (answer.correlation_id, answer.status, answer.result) == (event_id, ResultStatus.SUCCESS, {"n": 42})


async def test_what_is_no_request_does_not_stop_a_partition(
    kafka_broker: Broker, kafka_settings: KafkaSettings
) -> None:
    # Given one partition's worth of rubbish, events for others, and a request at its end
    topic = kafka_settings.workflow_events_topic
    known = uuid4()
    broken = json.dumps({"event_id": str(known), "workflow_id": "add", "event_type": 7}).encode()
    rubbish = [b"\xff\xfe", b"", b"[]", b"{", b'{"event_id": "x"}', b"[" * 5000]
    progress = request(event_type_is_not_triggered := "add").model_copy(update={"event_type": "workflow.progress"})
    unheard_of = request(event_type_is_not_triggered).model_copy(update={"event_type": "workflow.dance"})
    last = request("add", {"n": 1})
    await publish(
        kafka_settings,
        *[OutgoingMessage(topic=topic, value=value, key=b"k", partition=0) for value in rubbish],
        OutgoingMessage(topic=topic, value=broken, key=b"k", headers=[("mine", b"1")], partition=0),
        *[
            OutgoingMessage(topic=topic, value=event.model_dump_json().encode(), partition=0)
            for event in (progress, unheard_of, last)
        ],
    )
    # When a worker sees them
    options = quick(kafka_broker)
    worker = WorkflowWorker(kafka_settings, {"add": one_node(graphs.add)}, worker_settings=options)
    async with worker.running():
        await everything_committed(kafka_settings, options.group_id)
    # Then the request is answered, and so is the broken one whose id can be read; nobody else is
    answers = {answer.correlation_id: answer for answer in await results(kafka_settings)}
    assert set(answers) == {last.event_id, known}
    assert answers[last.event_id].result == {"n": 2}
    detail = answers[known].error_detail
    assert detail is not None
    assert detail.type == "InvalidRequest"
    assert "event_type" in detail.message
    # And every broken message is a dead letter with its bytes, its headers and its place
    letters = await records(kafka_settings, kafka_settings.dead_letter_topic(topic))
    assert Counter(letter.value for letter in letters) == Counter([*rubbish, broken])
    letter = next(letter for letter in letters if letter.value == broken)
    headers = dict(letter.headers)
    assert headers["mine"] == b"1"
    assert (headers["dead-letter-topic"], headers["dead-letter-partition"]) == (topic.encode(), b"0")
    assert headers["dead-letter-offset"] == str(len(rubbish)).encode()


async def test_a_result_goes_to_its_return_address(kafka_broker: Broker, kafka_settings: KafkaSettings) -> None:
    # Given a request with a return address, down to the partition
    address = ReturnAddress(kafka_settings.workflow_progress_topic, 1)
    event = request()
    await publish(kafka_settings, request_message(event, topic=kafka_settings.workflow_events_topic, reply_to=address))
    # When it is answered, by a worker that tells nothing else there
    options = quick(kafka_broker, progress=False)
    worker = WorkflowWorker(kafka_settings, {"add": one_node(graphs.add)}, worker_settings=options)
    async with worker.running():
        (record,) = await eventually(lambda: records(kafka_settings, address.topic))
    # Then the answer is there, and nowhere else
    assert record.partition == 1
    assert dict(record.headers)["correlation-id"] == str(event.event_id).encode()
    assert await results(kafka_settings) == []


async def test_a_return_address_that_is_nowhere_does_not_stop_the_worker(
    embedded_broker: Broker, embedded_settings: KafkaSettings
) -> None:
    # Given requests that want their answers where none can go, and a good one behind them
    topic = embedded_settings.workflow_events_topic
    addresses = [
        [(HEADER_REPLY_TOPIC, b"no-such-topic")],
        [(HEADER_REPLY_TOPIC, b"no such topic!")],
        [(HEADER_REPLY_TOPIC, topic.encode())],
        [(HEADER_REPLY_TOPIC, embedded_settings.workflow_results_topic.encode()), (HEADER_REPLY_PARTITION, b"99")],
    ]
    lost = [
        OutgoingMessage(topic=topic, value=request().model_dump_json().encode(), headers=headers, partition=0)
        for headers in addresses
    ]
    good = request()
    await publish(
        embedded_settings, *lost, OutgoingMessage(topic=topic, value=good.model_dump_json().encode(), partition=0)
    )
    # When a worker sees them
    options = quick(embedded_broker)
    worker = WorkflowWorker(embedded_settings, {"add": one_node(graphs.add)}, worker_settings=options)
    async with worker.running():
        await everything_committed(embedded_settings, options.group_id)
    # Then the good one is answered, and the others are dead letters
    assert [answer.correlation_id for answer in await results(embedded_settings)] == [good.event_id]
    letters = await records(embedded_settings, embedded_settings.dead_letter_topic(topic))
    assert Counter(letter.value for letter in letters) == Counter(message.value for message in lost)


async def test_requests_of_one_thread_run_one_after_another_and_others_beside_them(
    kafka_broker: Broker, kafka_settings: KafkaSettings
) -> None:
    # Given a graph that notes how many runs are in it, by thread and in all
    inside: Counter[str] = Counter()
    order: list[int] = []
    most = {"one thread": 0, "all": 0}
    together = asyncio.Event()

    async def look(state: State, config: Any) -> State:
        thread = config["configurable"]["thread_id"]
        inside[thread] += 1
        order.append(state["n"])
        most["one thread"] = max(most["one thread"], inside[thread])
        most["all"] = max(most["all"], inside.total())
        if inside.total() >= 4:
            together.set()
        await together.wait()
        inside[thread] -= 1
        return {"n": state["n"]}

    look.__annotations__.pop("config")
    worker = WorkflowWorker(
        kafka_settings, {"look": one_node(look)}, worker_settings=quick(kafka_broker), checkpointer=InMemorySaver()
    )
    # When four threads are asked five times each
    async with worker.running(), AsyncWorkflowClient(kafka_settings) as client:
        pending = [
            await client.submit("look", {"n": 10 * thread + turn}, thread_id=f"thread {thread}", timeout=60)
            for turn in range(5)
            for thread in range(4)
        ]
        answers = await asyncio.gather(*(client.wait(one) for one in pending))
    # Then no thread had two runs at once, each kept its order, and threads ran together
    assert {answer.status for answer in answers} == {ResultStatus.SUCCESS}
    assert most == {"one thread": 1, "all": 4}
    for thread in range(4):
        mine = [n for n in order if n // 10 == thread]
        assert mine == sorted(mine)


async def test_the_number_of_runs_at_once_is_bounded(embedded_broker: Broker, embedded_settings: KafkaSettings) -> None:
    # Given a worker that runs three at once
    inside, most, go_on = 0, 0, asyncio.Event()

    async def look(state: State) -> State:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await go_on.wait()
        inside -= 1
        return {}

    worker = WorkflowWorker(
        embedded_settings, {"look": one_node(look)}, worker_settings=quick(embedded_broker, concurrency=3)
    )
    async with worker.running(), AsyncWorkflowClient(embedded_settings) as client:
        # When thirty ask
        asked = [asyncio.create_task(client.request("look", {"n": 1}, timeout=60)) for _ in range(30)]
        await eventually(lambda: inside == 3)
        go_on.set()
        # Then all are answered
        await asyncio.gather(*asked)
    assert most == 3


async def test_a_partition_waits_for_a_long_run_after_so_many_others_and_goes_on_after_it(
    embedded_broker: Broker, embedded_settings: KafkaSettings
) -> None:
    # Given one partition with a long run at its head, and a limit of ten ended requests behind it
    go_on, ran = asyncio.Event(), list[int]()

    async def maybe_wait(state: State) -> State:
        if state["n"] == 0:
            await go_on.wait()
        ran.append(state["n"])
        return {}

    topic = embedded_settings.workflow_events_topic
    messages = [
        OutgoingMessage(topic=topic, value=request("w", {"n": n}).model_dump_json().encode(), partition=0)
        for n in range(100)
    ]
    await publish(embedded_settings, *messages)
    options = quick(embedded_broker, concurrency=4, max_uncommitted=10)
    worker = WorkflowWorker(embedded_settings, {"w": one_node(maybe_wait)}, worker_settings=options)
    async with worker.running():
        # When the others run past it, then they stop before they are too many
        await eventually(lambda: len(ran) >= 10)
        assert await lag(embedded_settings, options.group_id) == 100
        assert len(ran) <= 10 + 2 * options.concurrency
        # When it ends, then all end
        go_on.set()
        await everything_committed(embedded_settings, options.group_id)
    assert sorted(ran) == list(range(100))

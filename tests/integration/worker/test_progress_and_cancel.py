"""What is told of runs under way, and how they are stopped, on every broker."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.config import get_stream_writer

from langgraph_integration import WorkflowWorker
from tests.integration.worker import graphs
from tests.integration.worker.graphs import Ledger, State, expected, one_node, three_steps
from tests.integration.worker.observing import (
    eventually,
    everything_committed,
    publish,
    quick,
    records,
    results,
)
from workflow_events import AsyncWorkflowClient, EventType, KafkaSettings, PendingRequest, ResultStatus, WorkflowEvent
from workflow_events.requests import cancel_message, prepare_request
from workflow_events.testing.kafka_sources import Broker
from workflow_events.wire import OutgoingMessage, decode_event

pytestmark = pytest.mark.timeout(120)


async def told(settings: KafkaSettings, pending: PendingRequest) -> list[WorkflowEvent]:
    """What the progress topic holds about a request, in order."""
    mine = [
        record
        for record in await records(settings, settings.workflow_progress_topic)
        if record.key == str(pending.correlation_id).encode()
    ]
    assert len({record.partition for record in mine}) <= 1
    return [decode_event(record.value) for record in mine]


def brief(event: WorkflowEvent) -> str:
    data = event.payload.data
    return " ".join(str(part) for part in (event.event_type, data.get("kind"), data.get("node")) if part is not None)


async def test_what_a_run_does_is_told_while_it_goes_on(
    kafka_broker: Broker, kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    # Given a worker whose heart beats fast, and a run that waits in its second node
    ledger = Ledger(tmp_path)
    options = quick(kafka_broker, heartbeat_interval=0.2)
    worker = WorkflowWorker(
        kafka_settings, {"three": three_steps(ledger)}, worker_settings=options, checkpointer=InMemorySaver()
    )
    async with worker.running(), AsyncWorkflowClient(kafka_settings) as client:
        pending = await client.submit("three", {"n": 1}, timeout=60, attempt=2)

        # Then it is heard to have been accepted, and its heart beats, before there is an answer
        async def beats() -> bool:
            return (
                sum(one.event_type == EventType.WORKFLOW_HEARTBEAT for one in await told(kafka_settings, pending)) >= 2
            )

        await eventually(beats)
        assert await results(kafka_settings) == []
        # When it goes on to its end
        ledger.open_gate("second")
        assert (await client.wait(pending)).result == expected(1)

        async def all_told() -> list[WorkflowEvent]:
            events = await told(kafka_settings, pending)  # the heart beats on until the result is published
            return events if "workflow.progress node_finished publish_result" in map(brief, events) else []

        events = await eventually(all_told)
    # Then all of it has been told, in order
    assert [brief(event) for event in events if event.event_type != EventType.WORKFLOW_HEARTBEAT] == [
        "workflow.accepted",
        "workflow.progress run_started",
        *(
            f"workflow.progress {kind} {node}"
            for node in ("first", "second", "third", "publish_result")
            for kind in ("node_started", "node_finished")
        ),
    ]
    # And every event says whose it is, and which worker says so
    accepted = events[0].payload.data
    assert accepted["heartbeat_interval"] == 0.2
    assert events[1].payload.data["resumed"] is False
    for event in events:
        assert (event.workflow_run_id, event.attempt) == (pending.workflow_run_id, 2)
        assert event.payload.data["correlation_id"] == str(pending.correlation_id)
        assert event.payload.data["worker"] == accepted["worker"]
    heartbeat = next(event for event in events if event.event_type == EventType.WORKFLOW_HEARTBEAT)
    assert heartbeat.payload.data["node"] in {None, "first", "second"}


def beats(events: list[WorkflowEvent]) -> int:
    return sum(event.event_type == EventType.WORKFLOW_HEARTBEAT for event in events)


@pytest.mark.parametrize("waits_for", ["a slot", "its thread"])
async def test_a_request_that_waits_in_a_workers_hands_is_known_to_be_taken(
    kafka_broker: Broker, kafka_settings: KafkaSettings, tmp_path: Path, waits_for: str
) -> None:
    # Given a worker in which a request waits behind another that goes on for long
    ledger = Ledger(tmp_path)
    options = quick(kafka_broker, heartbeat_interval=0.2, concurrency=1 if waits_for == "a slot" else 4)
    thread: Any = {} if waits_for == "a slot" else {"thread_id": "t"}
    worker = WorkflowWorker(
        kafka_settings, {"three": three_steps(ledger)}, worker_settings=options, checkpointer=InMemorySaver()
    )
    telling = worker.progress
    assert telling is not None
    async with worker.running(), AsyncWorkflowClient(kafka_settings) as client:
        first = await client.submit("three", {"n": 1}, timeout=60, **thread)
        await eventually(lambda: ledger.lines(node="second", what="begin"))
        second = await client.submit("three", {"n": 2}, timeout=60, accepted_timeout=10, heartbeat_timeout=10, **thread)
        waiting = asyncio.create_task(client.wait(second))

        # Then it is heard to have been taken, and its heart beats, although nothing runs
        async def waits() -> list[WorkflowEvent]:
            events = await told(kafka_settings, second)
            return events if beats(events) >= 3 else []

        assert [brief(event) for event in await eventually(waits)][:4] == [
            "workflow.accepted",
            *["workflow.heartbeat"] * 3,
        ]
        # When its turn has come
        ledger.open_gate("second")
        # Then that is told, and both have their answers
        assert (await waiting).result == expected(2)
        assert (await client.wait(first)).result == expected(1)

        async def begun() -> bool:
            return "workflow.progress run_started" in [brief(event) for event in await told(kafka_settings, second)]

        await eventually(begun)
        # And no heart beats on
        await eventually(lambda: telling.beating == 0)


async def test_a_request_that_is_handed_back_before_its_turn_is_accepted_again_by_who_takes_it(
    kafka_broker: Broker, kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    # Given a worker in which a request waits behind another
    ledger = Ledger(tmp_path)
    options = quick(kafka_broker, heartbeat_interval=0.2, concurrency=1)

    def new_worker() -> WorkflowWorker:
        return WorkflowWorker(kafka_settings, {"three": three_steps(ledger)}, worker_settings=options)

    former, next_one = new_worker(), new_worker()
    telling, telling_next = former.progress, next_one.progress
    assert telling is not None
    assert telling_next is not None
    async with AsyncWorkflowClient(kafka_settings) as client:
        async with former.running():
            first = await client.submit("three", {"n": 1}, timeout=60)
            await eventually(lambda: ledger.lines(node="second", what="begin"))
            second = await client.submit("three", {"n": 2}, timeout=60)
            await eventually(lambda: telling.beating == 2)
            # When that worker is told to stop, and its run goes on for a while
            former.stop()
            # Then the heart of the one that it hands back beats no more
            await eventually(lambda: telling.beating == 1)
            ledger.open_gate("second")
        assert (await client.wait(first)).result == expected(1)
        # And the next worker accepts it again
        async with next_one.running():
            assert (await client.wait(second)).result == expected(2)
    events = [event for event in await told(kafka_settings, second) if event.event_type != EventType.WORKFLOW_HEARTBEAT]
    assert [(brief(event), event.payload.data["worker"]) for event in events][:3] == [
        ("workflow.accepted", telling.worker),
        ("workflow.accepted", telling_next.worker),
        ("workflow.progress run_started", telling_next.worker),
    ]


async def test_what_a_worker_does_not_run_begins_no_run_and_leaves_no_heart_beating(
    embedded_broker: Broker, embedded_settings: KafkaSettings
) -> None:
    # Given a request that has had its answer, one that was cancelled before it came, and one that is no request
    options = quick(embedded_broker)
    worker = WorkflowWorker(embedded_settings, {"one": one_node(graphs.add)}, worker_settings=options)
    again, done, _ = prepare_request(embedded_settings, "one", {"n": 1}, cursor={}, timeout=60, source="airflow")
    stopped, unwanted, _ = prepare_request(embedded_settings, "one", {"n": 1}, cursor={}, timeout=60, source="airflow")
    rubbish = OutgoingMessage(embedded_settings.workflow_events_topic, b"{", key=b"k")
    await publish(embedded_settings, cancel_message(embedded_settings, unwanted, source="airflow"))
    async with worker.running(), AsyncWorkflowClient(embedded_settings) as client:
        await publish(embedded_settings, again)
        assert (await client.wait(done)).result == {"n": 2}
        # When a worker has them
        await publish(embedded_settings, again, stopped, rubbish)
        await everything_committed(embedded_settings, options.group_id)
        assert worker.progress is not None
        assert worker.progress.beating == 0
    # Then it says that it took the first again, and of a run no more than the first time, and of the others nothing
    kinds = [brief(event) for event in await told(embedded_settings, done)]
    assert (kinds.count("workflow.accepted"), kinds.count("workflow.progress run_started")) == (2, 1)
    assert await told(embedded_settings, unwanted) == []
    assert len(await records(embedded_settings, embedded_settings.workflow_progress_topic)) == len(kinds)


async def test_a_topic_that_is_not_there_and_a_flood_of_chatter_slow_no_run(
    embedded_broker: Broker, embedded_settings: KafkaSettings
) -> None:
    # Given a progress topic and a control topic that do not exist, and a graph that says more than anybody could keep
    async def talk(state: State) -> State:
        say = get_stream_writer()
        for n in range(20_000):
            say(n)
        return {"n": state["n"] + 1}

    absent = embedded_settings.replace(workflow_progress_topic="not-there", workflow_control_topic="not-there-either")
    options = quick(embedded_broker)
    worker = WorkflowWorker(absent, {"talk": one_node(talk)}, worker_settings=options)
    # When it is asked
    async with worker.running(), AsyncWorkflowClient(embedded_settings) as client:
        answer = await client.request("talk", {"n": 1}, timeout=60)
        # Then it answers, and is done with
        assert answer.result == {"n": 2}
        await everything_committed(embedded_settings, options.group_id)
        # And what was not told is counted
        progress = worker.progress
        assert progress is not None
        assert await eventually(lambda: progress.dropped + len(progress.outbox) >= 20_000)
        assert len(progress.outbox) <= progress.outbox.most


async def test_a_cancelled_run_stops_and_a_retry_goes_on_where_it_was(
    kafka_broker: Broker, kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path)
    options = quick(kafka_broker)
    async with (
        AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver,
        AsyncWorkflowClient(kafka_settings) as client,
    ):
        worker = WorkflowWorker(
            kafka_settings, {"three": three_steps(ledger)}, worker_settings=options, checkpointer=saver
        )
        async with worker.running():
            # Given two runs in their second node
            pending, other = [await client.submit("three", {"n": n}, timeout=60) for n in range(2)]
            await eventually(lambda: len(ledger.lines(node="second", what="begin")) == 2)
            # When one is cancelled
            await client.cancel(pending)
            cancelled = await client.wait(pending)
            # Then it is answered so, and has stopped where it was
            assert (cancelled.status, cancelled.attempt) == (ResultStatus.CANCELLED, 1)
            assert cancelled.checkpoint_id is not None
            ledger.open_gate("second")
            # And the other goes on
            assert (await client.wait(other)).result == expected(1)
            assert len(ledger.lines(node="second", what="end")) == 1
            # When it is asked again, then the old cancel does not stop it, and no node that ended runs again
            again = await client.submit("three", {"n": 0}, timeout=60, correlation_id=pending.correlation_id, attempt=2)
            assert (await client.wait(again)).result == expected(0)
            assert len(ledger.lines(node="first", what="begin")) == 2
            # When it is cancelled after its end, then nothing comes of it
            await client.cancel(again)
            last = await client.request("three", {"n": 5}, timeout=60)
            assert last.result == expected(5)
            await everything_committed(kafka_settings, options.group_id)
    answers = [
        result.status for result in await results(kafka_settings) if result.correlation_id == pending.correlation_id
    ]
    assert sorted(answers) == [ResultStatus.CANCELLED, ResultStatus.SUCCESS]


async def test_a_cancel_that_comes_before_its_request_is_its_answer(
    kafka_broker: Broker, kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    # Given rubbish and a cancel on the control topic, then its request, and no worker yet
    ledger = Ledger(tmp_path)
    ledger.open_gate("second")
    message, pending, _ = prepare_request(kafka_settings, "three", {"n": 1}, cursor={}, timeout=60, source="airflow")
    rubbish = OutgoingMessage(kafka_settings.workflow_control_topic, b"\xff{", key=b"k")
    cancel = cancel_message(kafka_settings, pending, source="airflow", reason="cleared")
    await publish(kafka_settings, rubbish, cancel)
    await publish(kafka_settings, message)
    # When a worker comes
    worker = WorkflowWorker(kafka_settings, {"three": three_steps(ledger)}, worker_settings=quick(kafka_broker))
    async with worker.running(), AsyncWorkflowClient(kafka_settings) as client:
        answer = await client.wait(pending)
        # Then it answers without a run, and works on
        assert (answer.status, answer.error) == (ResultStatus.CANCELLED, "The request was cancelled: cleared")
        assert ledger.lines() == []
        assert (await client.request("three", {"n": 1}, timeout=60)).result == expected(1)


async def test_a_request_that_waits_for_its_turn_is_cancelled_at_once(
    embedded_broker: Broker, embedded_settings: KafkaSettings
) -> None:
    # Given a worker whose one slot is taken
    going, go_on, ran = asyncio.Event(), asyncio.Event(), list[int]()

    async def wait(state: State) -> State:
        ran.append(state["n"])
        going.set()
        await go_on.wait()
        return {}

    options = quick(embedded_broker, concurrency=1)
    worker = WorkflowWorker(embedded_settings, {"wait": one_node(wait)}, worker_settings=options)
    async with worker.running(), AsyncWorkflowClient(embedded_settings) as client:
        first = await client.submit("wait", {"n": 1}, timeout=60)
        await going.wait()
        second = await client.submit("wait", {"n": 2}, timeout=60)
        # When one that waits is cancelled
        await client.cancel(second)
        # Then it need not wait to be answered
        assert (await client.wait(second)).status is ResultStatus.CANCELLED
        go_on.set()
        assert (await client.wait(first)).status is ResultStatus.SUCCESS
        await everything_committed(embedded_settings, options.group_id)
    assert ran == [1]


@pytest.mark.parametrize("checkpointed", [False, True])
async def test_a_request_sent_many_times_runs_once(
    kafka_broker: Broker, kafka_settings: KafkaSettings, *, checkpointed: bool
) -> None:
    # Given a graph that counts how often it is run, and how many runs of it there are at once
    ran, inside, most, going, go_on = 0, 0, 0, asyncio.Event(), asyncio.Event()

    async def count(state: State) -> State:
        nonlocal ran, inside, most
        ran, inside = ran + 1, inside + 1
        most = max(most, inside)
        going.set()
        await go_on.wait()
        inside -= 1
        return {"n": state["n"] + ran}

    saver: Any = InMemorySaver() if checkpointed else None
    options = quick(kafka_broker)
    worker = WorkflowWorker(kafka_settings, {"count": one_node(count)}, worker_settings=options, checkpointer=saver)
    message, pending, _ = prepare_request(kafka_settings, "count", {"n": 1}, cursor={}, timeout=60, source="airflow")
    async with worker.running(), AsyncWorkflowClient(kafka_settings) as client:
        # When a request is sent four times while it runs, once as the next attempt, and once when it is over
        await publish(kafka_settings, message)
        await going.wait()
        event = decode_event(message.value)
        await publish(kafka_settings, *[message] * 3, event.model_copy(update={"attempt": 2}))
        go_on.set()
        assert (await client.wait(pending)).result == {"n": 2}
        await publish(kafka_settings, message)
        await everything_committed(kafka_settings, options.group_id)
    # Then it ran once, and each time the same was answered
    assert (ran, most) == (1, 1)
    assert [answer.result for answer in await results(kafka_settings)] == [{"n": 2}] * 6


async def test_a_failed_request_is_run_again(embedded_broker: Broker, embedded_settings: KafkaSettings) -> None:
    worker = WorkflowWorker(
        embedded_settings, {"broken": one_node(graphs.break_down)}, worker_settings=quick(embedded_broker)
    )
    async with worker.running(), AsyncWorkflowClient(embedded_settings) as client:
        pending = await client.submit("broken", {"n": 1}, timeout=60)
        assert (await client.wait(pending)).status is ResultStatus.ERROR
        again = await client.submit("broken", {"n": 1}, timeout=60, correlation_id=pending.correlation_id, attempt=2)
        answer = await client.wait(again)
        assert (answer.status, answer.attempt) == (ResultStatus.ERROR, 2)
    assert sorted(answer.attempt or 0 for answer in await results(embedded_settings)) == [1, 2]

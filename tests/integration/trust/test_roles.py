"""Each role with just the rights that docs/security.md lists, by SCRAM over TLS; and what is said where one is missing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from airflow_integration import WorkflowResultPoller
from langgraph_integration import ResultProducer, WorkerSettings, WorkflowWorker
from tests.integration.trust import roles
from tests.integration.trust.messages import request
from tests.integration.trust.roles import GROUP, without
from tests.integration.worker import graphs
from tests.integration.worker.graphs import one_node
from tests.integration.worker.observing import eventually
from workflow_events import (
    AccessDeniedError,
    AsyncWorkflowClient,
    EventType,
    KafkaSettings,
    WorkflowClient,
    WorkflowEventProducer,
)
from workflow_events.cli import app
from workflow_events.progress.worker_group import ask_for_group
from workflow_events.topics import ensure_topics
from workflow_events.transport import aio
from workflow_events.wire import OutgoingMessage

# aiokafka does not wait until TLS has said good-bye, and an event loop that ends first leaves the socket to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

Admit = Callable[..., KafkaSettings]


def working(settings: KafkaSettings) -> WorkflowWorker:
    options = WorkerSettings(group_id=GROUP, session_timeout=6.0, drain_timeout=5.0)
    return WorkflowWorker(settings, {"add": one_node(graphs.add)}, worker_settings=options)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``command(settings, "request", ...)``: the command with these settings in its environment, and no others."""

    def run(settings: KafkaSettings, *arguments: str) -> Any:
        monkeypatch.setattr("logging.basicConfig", lambda **_: None)
        for name, value in dict(settings).items():
            secret = getattr(value, "get_secret_value", None)
            if value is not None:
                monkeypatch.setenv(f"KAFKA_{name.upper()}", str(secret() if secret else value))
        return CliRunner().invoke(app, arguments)

    return run


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_the_whole_flow_runs_with_each_role_holding_only_its_rights(
    admin: KafkaSettings,
    user: Admit,
    command: Callable[..., Any],
    mechanism: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Given a user for each role
    def make(role: Callable[[KafkaSettings], Any]) -> KafkaSettings:
        return user(admin, role(admin), mechanism)

    worker, requester, waiter = map(make, (roles.worker, roles.requester, roles.waiter))
    publisher, answerer = map(make, (roles.publisher, roles.answerer))
    async with working(worker).running():
        # When both clients ask
        async with AsyncWorkflowClient(requester) as client:
            assert (await client.request("add", {"n": 1}, timeout=30)).result == {"n": 2}
            pending = await client.submit("add", {"n": 2}, timeout=30)
            await client.cancel(pending)
        with WorkflowClient(requester) as sync_client:
            answer = await asyncio.to_thread(sync_client.request, "add", {"n": 3}, timeout=30)
            assert answer.result == {"n": 4}
        # And one asks and another waits
        with WorkflowEventProducer(settings=publisher) as producer:
            event = await asyncio.to_thread(
                producer.publish_workflow_event, EventType.WORKFLOW_TRIGGERED, "add", "r", {"data": {"n": 4}}
            )
        with WorkflowResultPoller(timeout=30, settings=waiter) as poller:
            found = await asyncio.to_thread(poller.poll_for_result, event.event_id)
            assert found is not None
            assert found["result"] == {"n": 5}
            # And one answers without a worker
            async with ResultProducer(settings=answerer) as results:
                await results.publish_result(pending.correlation_id, "add", "r", {"n": 99})
        # And the command asks
        asked = await asyncio.to_thread(command, requester, "request", "add", "--data", '{"n": 5}', "--timeout", "30")
        assert (asked.exit_code, '"n": 6' in asked.stdout) == (0, True), asked.output
    # Then each has been served, and nobody was refused
    assert "are not published in transactions" not in caplog.text


def test_the_topics_are_made_and_checked_with_the_rights_for_it(
    unmade: KafkaSettings, user: Admit, command: Callable[..., Any]
) -> None:
    maker = user(unmade, roles.topic_maker(unmade))

    assert command(maker, "topics", "create").exit_code == 0
    assert command(maker, "topics", "check").exit_code == 0


def test_the_right_to_make_topics_is_named_where_it_is_missing(unmade: KafkaSettings, user: Admit) -> None:
    topic = unmade.workflow_control_topic
    maker = user(unmade, [*without(roles.topic_maker(unmade), "CREATE", topic)])

    with pytest.raises(AccessDeniedError, match=f"CREATE on topic '{topic}'"):
        ensure_topics(maker)


def test_the_right_to_compare_topics_is_named_where_it_is_missing(admin: KafkaSettings, user: Admit) -> None:
    topic = admin.workflow_control_topic
    maker = user(admin, without(roles.topic_maker(admin), "DESCRIBE_CONFIGS", topic))

    with pytest.raises(AccessDeniedError, match=f"DESCRIBE_CONFIGS on .*'{topic}'"):
        ensure_topics(maker)


async def ask_async(settings: KafkaSettings) -> None:
    async with AsyncWorkflowClient(settings) as client:
        await client.request("add", {"n": 1}, timeout=10)


async def ask_sync(settings: KafkaSettings) -> None:
    def ask() -> None:
        with WorkflowClient(settings) as client:
            client.submit("add", {"n": 1}, timeout=10)

    await asyncio.to_thread(ask)


async def cancel_async(settings: KafkaSettings) -> None:
    async with AsyncWorkflowClient(settings) as client:
        await client.cancel(await client.submit("add", {"n": 1}, timeout=10))


async def cancel_sync(settings: KafkaSettings) -> None:
    def cancel() -> None:
        with WorkflowClient(settings) as client:
            client.cancel(client.submit("add", {"n": 1}, timeout=10))

    await asyncio.to_thread(cancel)


async def follow(settings: KafkaSettings) -> None:
    async with AsyncWorkflowClient(settings) as client:
        async for _ in client.progress(await client.submit("add", {"n": 1}, timeout=10)):
            pass


async def poll(settings: KafkaSettings) -> None:
    with WorkflowResultPoller(timeout=5, settings=settings) as poller:
        await asyncio.to_thread(poller.poll_for_result, "018f0000-0000-7000-8000-000000000000")


async def work(settings: KafkaSettings, meanwhile: Awaitable[None] | None = None) -> None:
    async with asyncio.timeout(30), working(settings).running():
        if meanwhile is not None:
            await meanwhile
        await asyncio.Event().wait()


async def publishing(settings: KafkaSettings) -> None:
    producer = await aio.start_producer(settings)
    await aio.send(producer, request(settings, {"n": 1}))
    await producer.stop()


async def answer(settings: KafkaSettings) -> None:
    async with ResultProducer(settings=settings) as results:
        await results.publish_result("018f0000-0000-7000-8000-000000000000", "add", "r", {})


@pytest.mark.parametrize(
    "role,act,operation,of",
    [
        (roles.requester, ask_async, "WRITE", "workflow_events_topic"),
        (roles.requester, ask_sync, "WRITE", "workflow_events_topic"),
        (roles.requester, ask_async, "READ", "workflow_results_topic"),
        (roles.requester, ask_sync, "READ", "workflow_results_topic"),
        (roles.requester, cancel_async, "WRITE", "workflow_control_topic"),
        (roles.requester, cancel_sync, "WRITE", "workflow_control_topic"),
        (roles.requester, follow, "READ", "workflow_progress_topic"),
        (roles.waiter, poll, "READ", "workflow_results_topic"),
        (roles.answerer, answer, "WRITE", "workflow_results_topic"),
        (roles.worker, work, "READ", "workflow_events_topic"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_a_missing_right_is_named_with_its_topic(
    admin: KafkaSettings, user: Admit, role: Any, act: Any, operation: str, of: str
) -> None:
    topic = getattr(admin, of)
    settings = user(admin, without(role(admin), operation, topic))

    with pytest.raises(AccessDeniedError, match=f"{settings.sasl_username}.*{operation}.* on topic '{topic}'"):
        await act(settings)


async def test_the_groups_missing_right_is_named_with_the_group(admin: KafkaSettings, user: Admit) -> None:
    settings = user(admin, without(roles.worker(admin), "READ", GROUP))

    with pytest.raises(AccessDeniedError, match=f"{settings.sasl_username}.*READ on the consumer group '{GROUP}'"):
        await work(settings)


async def test_a_worker_that_may_not_answer_stops_and_names_the_right(admin: KafkaSettings, user: Admit) -> None:
    # Given a worker that lacks the right to the results topic
    topic = admin.workflow_results_topic
    settings = user(admin, without(roles.worker(admin), "WRITE", topic))
    # When it has done a request
    with pytest.raises(AccessDeniedError, match=f"WRITE and DESCRIBE on topic '{topic}'"):
        await work(settings, publishing(admin))


async def test_a_worker_that_may_not_bury_logs_the_right_and_works_on(
    admin: KafkaSettings, user: Admit, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a worker that lacks the right to the dead-letter topic
    letters = admin.dead_letter_topic(admin.workflow_events_topic)
    settings = user(admin, without(roles.worker(admin), "WRITE", letters))
    producer = await aio.start_producer(admin)
    async with working(settings).running(), AsyncWorkflowClient(admin) as client:
        # When a message comes that is no request, and then one that is
        with caplog.at_level(logging.ERROR):
            for partition in range(admin.topic_partitions):
                broken = OutgoingMessage(admin.workflow_events_topic, b"{", partition=partition)
                await aio.send(producer, broken)
            # Then the second is answered, and the log names the right
            assert (await client.request("add", {"n": 1}, timeout=30)).result == {"n": 2}
    await producer.stop()
    assert f"WRITE and DESCRIBE on topic '{letters}'" in caplog.text


async def test_a_worker_that_may_neither_tell_nor_hear_logs_the_rights_and_works_on(
    admin: KafkaSettings, user: Admit, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a worker that lacks the rights to the progress topic and to the control topic
    told, heard = admin.workflow_progress_topic, admin.workflow_control_topic
    settings = user(admin, without(without(roles.worker(admin), "WRITE", told), "READ", heard))
    with caplog.at_level(logging.WARNING):
        async with working(settings).running(), AsyncWorkflowClient(admin) as client:
            # When it is asked, then it answers
            assert (await client.request("add", {"n": 1}, timeout=30)).result == {"n": 2}
            # And the log names both rights
            await eventually(lambda: f"WRITE and DESCRIBE on topic '{told}'" in caplog.text)
            await eventually(lambda: f"READ and DESCRIBE on topic '{heard}'" in caplog.text)


async def test_a_worker_that_may_use_no_transactions_logs_the_right_and_works_on_without(
    admin: KafkaSettings, user: Admit, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a worker that lacks the right to its transactional id
    settings = user(admin, without(roles.worker(admin), "WRITE", f"{GROUP}-"))
    with caplog.at_level(logging.WARNING):
        async with working(settings).running(), AsyncWorkflowClient(admin) as client:
            # When it is asked, then it answers
            assert (await client.request("add", {"n": 1}, timeout=30)).result == {"n": 2}
    # And the log names the right
    assert f"WRITE and DESCRIBE on the transactional id '{GROUP}-" in caplog.text


@pytest.mark.parametrize("may", [True, False])
def test_of_the_workers_group_is_told_who_may_ask_about_it(admin: KafkaSettings, user: Admit, may: bool) -> None:  # noqa: FBT001
    rights = roles.requester(admin)
    settings = user(admin, rights if may else without(rights, "DESCRIBE", GROUP)).replace(workflow_worker_group=GROUP)

    report = ask_for_group(settings, 10)

    assert ("no worker runs" in report.describe()) is may
    assert ("could not be asked about" in report.describe()) is not may

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferralTimeout, TaskDeferred

from airflow_integration import WorkflowOperator, WorkflowTaskError
from airflow_integration.identity import identity_of
from tests.integration.airflow.running import execute, execute_deferred, fire, revive
from tests.system.responder import Responder
from workflow_events.errors import BrokerUnavailableError, ResultTimeoutError
from workflow_events.pending import PendingRequest
from workflow_events.settings import KafkaSettings
from workflow_events.testing.processes import free_port

MakeContext = Callable[..., dict[str, Any]]


def operator(conn_id: str, data: dict[str, Any], **options: Any) -> WorkflowOperator:
    return WorkflowOperator(
        task_id="ask",
        **{"workflow_id": "w", "data": data, "timeout": 60, "workflow_events_conn_id": conn_id, **options},
    )


def outcome(run: Callable[[], Any]) -> tuple[str, Any]:
    """What came of it: the value, or the error's class and message without what differs from request to request."""
    try:
        return "value", run()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return type(error).__name__, str(error).partition(" (request ")[0].partition(" for request ")[0]


def test_the_value_is_the_workflows_result(responder: Responder, conn_id: str, context: MakeContext) -> None:
    task = operator(conn_id, {"question": 1})

    assert execute(task, context()) == {"echo": {"question": 1}}


def test_the_request_says_who_asks_and_until_when(responder: Responder, conn_id: str, context: MakeContext) -> None:
    task = operator(conn_id, {}, graph="g", thread_id="thread-1", metadata={"environment": "prod", "user": "me"})

    execute(task, context(run_id="manual__1", try_number=3))

    (event,) = responder.requests
    assert (event.workflow_id, event.workflow_run_id, event.payload.graph) == ("w", "manual__1", "g")
    assert (event.attempt, event.thread_id, event.source) == (3, "thread-1", "airflow")
    assert event.metadata.model_dump() == {"environment": "prod", "version": "1.0", "user": "me"}
    assert event.deadline is not None
    assert 50 < (event.deadline - event.timestamp).total_seconds() <= 60


def test_a_retry_asks_under_the_same_id_and_a_clear_under_another(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    task = operator(conn_id, {})
    first = context(max_tries=2)
    for changes in ({}, {"try_number": 2}, {"try_number": 3, "max_tries": 4}):
        first["ti"].__dict__.update(changes)
        execute(task, first)

    ids = [event.event_id for event in responder.requests]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    "data",
    [
        {"answer": [1, 2.5, None, True, "ü"], "nested": {"__type": "x"}},
        {"size": 200_000},
        {"status": "failure", "error": "no"},
        {"status": "failure", "error": "no", "retryable": False},
        {"status": "error", "error": "broke"},
        {"status": "error", "error": "broke", "retryable": False},
        {"status": "cancelled"},
        {"status": "interrupted", "interrupts": [{"id": "1", "value": "Ship it?"}]},
        {"ignore": True},
    ],
    ids=["value", "large", "failure", "final failure", "error", "final error", "cancelled", "interrupted", "no answer"],
)
def test_deferred_or_not_the_task_ends_alike(
    data: dict[str, Any], responder: Responder, conn_id: str, context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Deferring is refused where it could not end before the deadline; here nothing is to settle.
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "0")
    monkeypatch.setenv("AIRFLOW__WORKFLOW_EVENTS__SETTLE_MARGIN", "0")
    timeout = 3 if data.get("ignore") else 60
    here = operator(conn_id, data, timeout=timeout, deferrable=False)
    deferred = operator(conn_id, data, timeout=timeout, deferrable=True, inline_wait=0)

    one = outcome(lambda: execute(here, context()))
    other = outcome(lambda: execute_deferred(deferred, context()))

    assert one == other
    if data.get("ignore"):
        assert one[0] == ResultTimeoutError.__name__
    elif "status" not in data:
        assert one[0] == "value"
    else:
        assert one[0] in {"WorkflowTaskError", "WorkflowTaskFailError"}


def test_a_non_retryable_error_is_airflows_fail_exception(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    final = operator(conn_id, {"status": "error", "error": "broke", "retryable": False})
    passing = operator(conn_id, {"status": "error", "error": "broke", "retryable": True})

    with pytest.raises(AirflowFailException, match=r"tests\.RemoteError: broke"):
        execute(final, context())
    with pytest.raises(WorkflowTaskError, match=r"tests\.RemoteError: broke") as caught:
        execute(passing, context())
    assert not isinstance(caught.value, AirflowFailException)


def test_a_missing_answer_names_id_topic_and_cursor(
    responder: Responder, conn_id: str, context: MakeContext, kafka_settings: KafkaSettings
) -> None:
    with pytest.raises(ResultTimeoutError) as caught:
        execute(operator(conn_id, {"ignore": True}, timeout=4), context())

    message = str(caught.value)
    assert str(responder.requests[0].event_id) in message
    assert kafka_settings.workflow_results_topic in message
    assert "Read from {0:" in message


def test_a_result_that_comes_at_once_needs_no_deferral(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    assert execute(operator(conn_id, {}, deferrable=True, inline_wait=20), context()) == {"echo": {}}


def test_a_task_whose_deadline_a_deferral_could_not_meet_waits_where_it_is(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    task = operator(conn_id, {"delay": 1}, timeout=9, deferrable=True, inline_wait=0)

    assert execute(task, context()) == {"echo": {"delay": 1}}


def test_a_deferral_carries_the_request_and_nothing_secret(
    responder: Responder, kafka_settings: KafkaSettings, context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_SECRET",
        f"workflow-events://{kafka_settings.bootstrap_servers}/?workflow_events_topic={kafka_settings.workflow_events_topic}"
        f"&workflow_results_topic={kafka_settings.workflow_results_topic}&client_id=tr0ub4dor",
    )
    with pytest.raises(TaskDeferred) as caught:
        execute(operator("secret", {"private": "data"}, deferrable=True, inline_wait=0), context())

    deferred = caught.value
    path, arguments = deferred.trigger.serialize()
    assert path == "airflow_integration.trigger.WorkflowResultTrigger"
    assert PendingRequest.from_json(arguments["pending"]).reply_topic == kafka_settings.workflow_results_topic
    assert "tr0ub4dor" not in str(arguments)
    assert "private" not in str(arguments)
    assert not deferred.kwargs
    assert deferred.timeout is not None
    assert deferred.timeout.total_seconds() > 60


def test_data_that_is_not_a_dict_is_told_before_anything_is_asked(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    task = operator(conn_id, {})
    task.data = "{'rendered': 'text'}"  # type: ignore[assignment]

    with pytest.raises(TypeError, match="must be a dict"):
        execute(task, context())
    assert not responder.requests


def test_a_deferral_that_no_triggerer_took_up_names_the_request(context: MakeContext) -> None:
    task, mine = operator("c", {}), context()

    with pytest.raises(TaskDeferralTimeout, match=str(identity_of(mine).correlation_id)):
        task.resume_execution("__fail__", {"error": "Trigger timeout"}, mine)  # type: ignore[arg-type]


def test_the_link_leads_to_the_run_before_and_after_the_deferral(
    responder: Responder, conn_id: str, context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__WORKFLOW_EVENTS__RUN_URL", "https://runs/{workflow_id}/{correlation_id}")
    (link,) = WorkflowOperator.operator_extra_links
    before, after = operator(conn_id, {}, deferrable=True, inline_wait=0), operator(conn_id, {})

    with pytest.raises(TaskDeferred) as caught:
        execute(before, context())
    trigger = revive(caught.value.trigger)
    trigger.settle = None
    after.execute_complete({}, asyncio.run(fire(trigger)))

    expected = f"https://runs/w/{trigger.pending['correlation_id']}"
    assert link.get_link(before, ti_key=None) == expected  # type: ignore[arg-type]
    assert link.get_link(after, ti_key=None) == expected  # type: ignore[arg-type]


def test_the_decorated_functions_return_value_is_asked(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    from airflow.sdk import DAG

    from airflow_integration import task

    @task.workflow(workflow_events_conn_id=conn_id, timeout=30)
    def summarise(text: str, ti: Any = None) -> dict[str, Any]:
        return {"text": f"{text} of {ti.task_id}", "template": "{{ not rendered }}"}

    with DAG("d", schedule=None):
        made: Any = summarise("words")

    assert execute(made.operator, context(task_id="t")) == {
        "echo": {"text": "words of t", "template": "{{ not rendered }}"}
    }
    assert responder.requests[0].workflow_id == "summarise"


def test_waiting_here_ends_at_the_deadline(responder: Responder, conn_id: str, context: MakeContext) -> None:
    begun = time.monotonic()

    with pytest.raises(ResultTimeoutError):
        execute(operator(conn_id, {"ignore": True}, timeout=4), context())

    assert time.monotonic() - begun < 15


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """A connection to a port at which nobody listens."""
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", f"workflow-events://127.0.0.1:{free_port()}/?connect_timeout=1")
    return "nowhere"


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_broker_that_is_away_is_left_to_airflows_retries(
    deferrable: bool,  # noqa: FBT001
    nowhere: str,
    context: MakeContext,
) -> None:
    task = operator(nowhere, {}, deferrable=deferrable, inline_wait=0)

    with pytest.raises(BrokerUnavailableError):
        execute(task, context())


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_topic_that_is_missing_and_data_that_are_too_large_fail_the_task_for_good(
    deferrable: bool,  # noqa: FBT001
    kafka_settings: KafkaSettings,
    conn_id: str,
    context: MakeContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large = operator(conn_id, {"text": "x" * 2_000_000}, deferrable=deferrable, inline_wait=0)
    with pytest.raises(AirflowFailException, match=r"MessageTooLargeError: .* 2,000,"):
        execute(large, context())

    monkeypatch.setenv(
        "AIRFLOW_CONN_ASTRAY",
        f"workflow-events://{kafka_settings.bootstrap_servers}/?workflow_events_topic=no-such-topic"
        f"&workflow_results_topic={kafka_settings.workflow_results_topic}",
    )
    astray = operator("astray", {}, deferrable=deferrable, inline_wait=0)
    with pytest.raises(AirflowFailException, match=r"TopicNotFoundError: .*'no-such-topic'"):
        execute(astray, context())


def test_a_topic_that_the_triggerer_misses_fails_the_task_for_good(
    responder: Responder, conn_id: str, context: MakeContext
) -> None:
    # Given a task that is deferred until there is a reply on a topic that is gone
    task = operator(conn_id, {"ignore": True}, deferrable=True, inline_wait=0)
    with pytest.raises(TaskDeferred) as deferred:
        execute(task, context())
    trigger = revive(deferred.value.trigger)
    trigger.pending["reply_topic"], trigger.settle = "no-such-topic", None
    # When the trigger has met that, then the task raises it
    event = asyncio.run(fire(trigger))
    with pytest.raises(AirflowFailException, match=r"TopicNotFoundError: .*'no-such-topic'"):
        task.execute_complete({}, event)

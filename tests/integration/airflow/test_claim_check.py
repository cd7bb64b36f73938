"""Large results in Airflow: the trigger passes the reference on, and the task's worker takes the payload."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from airflow_integration import WorkflowOperator, WorkflowTaskError
from tests.integration.airflow.running import execute, execute_deferred, fire, revive
from tests.system.responder import Responder
from workflow_events.settings import KafkaSettings

pytestmark = pytest.mark.kafka_brokers("embedded")

MakeContext = Callable[..., dict[str, Any]]
SIZE = 300_000


@pytest.fixture
def store(tmp_path: Path, conn_id: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store of both sides, which Airflow has from its environment."""
    monkeypatch.setenv("KAFKA_CLAIM_CHECK_STORE", str(tmp_path))
    return tmp_path


@pytest.fixture
def responder(kafka_settings: KafkaSettings, store: Path) -> Iterator[Responder]:
    with Responder(kafka_settings.replace(claim_check_store=str(store))) as running:
        yield running


def operator(conn_id: str, data: Any) -> WorkflowOperator:
    return WorkflowOperator(
        task_id="ask", workflow_id="w", data=data, timeout=60, workflow_events_conn_id=conn_id, deferrable=True,
        inline_wait=0,
    )  # fmt: skip


def deferred(task: WorkflowOperator, context: dict[str, Any]) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        execute(task, context)
    caught.value.trigger.settle = None
    return caught.value


def test_the_task_has_the_whole_result(responder: Responder, conn_id: str, context: MakeContext) -> None:
    value = execute_deferred(operator(conn_id, {"size": SIZE}), context())

    assert len(json.dumps(value)) > SIZE


def test_of_many_results_each_is_whole(responder: Responder, conn_id: str, context: MakeContext) -> None:
    values = execute_deferred(operator(conn_id, [{"size": SIZE}, {"small": 1}]), context())

    assert [len(json.dumps(value)) > SIZE for value in values] == [True, False]


async def test_what_airflow_stores_is_small_and_the_triggerer_needs_no_store(
    responder: Responder, conn_id: str, context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a deferred task, and a triggerer that has no store
    task = operator(conn_id, {"size": SIZE})
    waiting = deferred(task, context())
    monkeypatch.delenv("KAFKA_CLAIM_CHECK_STORE")
    # When the trigger fires
    event = await fire(revive(waiting.trigger))
    # Then its event is small, and says what is in the store
    assert len(json.dumps(event)) < 3_000
    assert "claim_check" in event["result"]


def test_a_result_that_is_gone_fails_the_task_in_words(
    responder: Responder, conn_id: str, context: MakeContext, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task: Any = operator(conn_id, {"size": SIZE})
    contexts = context()
    waiting = deferred(task, contexts)
    event = asyncio.run(fire(revive(waiting.trigger)))
    for path in (store / "results").rglob("*"):
        if path.is_file():
            path.unlink()

    with pytest.raises(AirflowFailException, match=r"ClaimCheckError: .* is not in the store"):
        task.execute_complete(contexts, event)


def test_one_of_many_that_is_gone_is_named(
    responder: Responder, conn_id: str, context: MakeContext, store: Path
) -> None:
    task: Any = operator(conn_id, [{"small": 1}, {"size": SIZE}])
    contexts = context()
    waiting = deferred(task, contexts)
    event = asyncio.run(fire(revive(waiting.trigger)))
    for path in (store / "results").rglob("*"):
        if path.is_file():
            path.unlink()

    with pytest.raises(WorkflowTaskError, match=r"these failed \(counted from 0\): 1.*is not in the store"):
        task.execute_gathered(contexts, event)

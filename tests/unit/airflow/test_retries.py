from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from airflow_integration.retries import STATE_KEY, going_on_from, looking_now, recall, remember
from workflow_events.events import ResultStatus, WorkflowResultEvent
from workflow_events.pending import PendingRequest
from workflow_events.replies.correlator import Verdict, judge


class Store:
    """Airflow's state of a task instance, as far as it is used here."""

    def __init__(self, *, broken: bool = False) -> None:
        self.values: dict[str, Any] = {}
        self.broken = broken

    def get(self, key: str) -> Any:
        self._reach()
        return self.values.get(key)

    def set(self, key: str, value: Any) -> None:
        self._reach()
        self.values[key] = value

    def _reach(self) -> None:
        if self.broken:
            raise RuntimeError("the API server is away")


def pending(correlation_id: UUID | None = None, **fields: Any) -> PendingRequest:
    return PendingRequest(
        correlation_id=correlation_id or uuid4(),
        workflow_id="w",
        workflow_run_id="r",
        **{
            "reply_topic": "results",
            "reply_cursor": {0: 5, 1: 7},
            "deadline": datetime.now(tz=UTC) + timedelta(seconds=60),
            **fields,
        },
    )


def test_the_next_try_recalls_what_this_one_kept() -> None:
    context, request = {"task_state_store": Store()}, pending()

    remember(context, request)

    assert recall(context, request.correlation_id) == request


def test_after_a_clear_which_changes_the_id_nothing_is_recalled() -> None:
    context = {"task_state_store": Store()}
    remember(context, pending())

    assert recall(context, uuid4()) is None


def test_an_airflow_without_such_a_state_keeps_and_recalls_nothing() -> None:
    remember({}, pending())

    assert recall({}, uuid4()) is None


def test_a_state_that_cannot_be_reached_fails_no_task(caplog: pytest.LogCaptureFixture) -> None:
    context, request = {"task_state_store": Store(broken=True)}, pending()

    remember(context, request)

    assert recall(context, request.correlation_id) is None
    assert caplog.text.count("the API server is away") == 2


@pytest.mark.parametrize("kept", ["text", {"correlation_id": "x"}, None, 7])
def test_what_another_version_kept_is_not_taken_for_a_request(kept: Any) -> None:
    store = Store()
    store.values[STATE_KEY] = kept

    assert recall({"task_state_store": store}, uuid4()) is None


def test_the_look_for_an_earlier_success_passes_over_the_earlier_failure_and_waits_for_nobody() -> None:
    earlier = pending(accepted_timeout=5, accepted_by=datetime.now(tz=UTC), heartbeat_timeout=5)
    look = looking_now(earlier, attempt=2)

    def verdict(status: ResultStatus, attempt: int) -> Verdict:
        result = WorkflowResultEvent(
            correlation_id=earlier.correlation_id, workflow_id="w", workflow_run_id="r", status=status, attempt=attempt
        )
        return judge(look, result)

    assert verdict(ResultStatus.SUCCESS, 1) is Verdict.OWN
    assert verdict(ResultStatus.ERROR, 1) is Verdict.STALE
    assert verdict(ResultStatus.CANCELLED, 1) is Verdict.STALE
    assert look.remaining() <= 0
    assert not look.clocked
    assert look.reply_cursor == earlier.reply_cursor


def test_a_retry_reads_from_where_the_first_try_would_have() -> None:
    earlier = pending()
    retry = pending(earlier.correlation_id, attempt=2, reply_cursor={0: 90, 1: 90})

    going_on = going_on_from(earlier, retry)

    assert (going_on.reply_cursor, going_on.attempt, going_on.deadline) == ({0: 5, 1: 7}, 2, retry.deadline)


@pytest.mark.parametrize("elsewhere", [{"reply_topic": "other"}, {"reply_partition": 1}])
def test_a_cursor_of_another_topic_or_partition_is_not_read_from(elsewhere: dict[str, Any]) -> None:
    retry = pending(reply_cursor={0: 90})

    assert going_on_from(pending(**elsewhere), retry) == retry
    assert going_on_from(None, retry) == retry

"""With no broker at all, every call ends by its own time, however patient the settings are about connecting.

A call that went by the settings' ten minutes instead would meet the tests' own time-out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from workflow_events import BrokerUnavailableError, KafkaSettings, PendingRequest, ResultTimeoutError, WorkflowClient
from workflow_events.progress.worker_group import ask_for_group
from workflow_events.replies.read_back import read_back
from workflow_events.replies.records import RecordPosition
from workflow_events.testing.processes import free_port


@pytest.fixture
def patient() -> KafkaSettings:
    return KafkaSettings(
        _env_file=None, bootstrap_servers=f"127.0.0.1:{free_port()}", connect_timeout=600, request_timeout=1
    )


def pending_request(seconds: float) -> PendingRequest:
    return PendingRequest(
        correlation_id=uuid4(),
        workflow_id="w",
        workflow_run_id="r",
        reply_topic="t",
        reply_cursor={},
        deadline=datetime.now(tz=UTC) + timedelta(seconds=seconds),
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.submit("w", {}, timeout=1),
        lambda client: client.submit_many("w", [{}, {}], timeout=1),
        lambda client: client.request("w", {}, timeout=1, accepted_timeout=1),
        lambda client: client.cancel(pending_request(600)),
        lambda client: read_back(client.settings, {RecordPosition("t", 0, 0): uuid4()}),
    ],
    ids=["submit", "submit_many", "request", "cancel", "read_back"],
)
def test_a_call_without_a_broker_ends_by_its_own_time(
    patient: KafkaSettings, call: Callable[[WorkflowClient], object]
) -> None:
    with WorkflowClient(patient) as client, pytest.raises(BrokerUnavailableError, match=patient.bootstrap_servers):
        call(client)


@pytest.mark.parametrize(
    "listening",
    [{}, {"accepted_timeout": 0.5, "heartbeat_timeout": 0.5, "on_progress": print}],
    ids=["plain", "with clocks and progress"],
)
def test_a_wait_without_a_broker_ends_at_its_deadline_and_blames_no_worker(
    patient: KafkaSettings, listening: dict[str, Any]
) -> None:
    with WorkflowClient(patient) as client, pytest.raises(ResultTimeoutError) as caught:
        client.wait(pending_request(2), **listening)
    assert type(caught.value) is ResultTimeoutError


def test_a_group_that_cannot_be_asked_about_is_said_not_raised(patient: KafkaSettings) -> None:
    report = ask_for_group(patient, 0.5)
    assert not report.exists
    assert "could not be asked about" in report.describe()

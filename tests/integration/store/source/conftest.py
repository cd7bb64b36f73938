"""The waiters' second source: a broker, and a result store that answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from result_store.records import Phase, RunRecord, RunState
from tests.integration.store.source.answering import StoreApi, answering
from workflow_events import KafkaSettings, PendingRequest
from workflow_events.identifiers import derive_correlation_id, new_event_id

KEY = "wfk_1_a-secret-that-nobody-sees"


@pytest.fixture
def store() -> Iterator[StoreApi]:
    with answering() as api:
        yield api


@pytest.fixture
def settings(kafka_settings: KafkaSettings, store: StoreApi) -> KafkaSettings:
    """A broker's settings, with the store."""
    return with_store(kafka_settings, store.url)


def with_store(settings: KafkaSettings, url: str) -> KafkaSettings:
    return settings.replace(result_store_url=url, result_store_api_key=KEY, result_store_service="tests")


def long_ago() -> UUID:
    """An id that was made nine days ago."""
    return derive_correlation_id(str(new_event_id()), time=datetime.now(tz=UTC) - timedelta(days=9))


def pending_for(
    settings: KafkaSettings, correlation_id: UUID, *, seconds: float = 60.0, **changes: Any
) -> PendingRequest:
    """A request from before the log's beginning, as a waiter has kept it."""
    values = {
        "correlation_id": correlation_id,
        "workflow_id": "w",
        "workflow_run_id": "r",
        "reply_topic": settings.workflow_results_topic,
        "reply_cursor": dict.fromkeys(range(settings.topic_partitions), 0),
        "deadline": datetime.now(tz=UTC) + timedelta(seconds=seconds),
    }
    return PendingRequest.model_validate({**values, **changes})


def finished(correlation_id: UUID, state: RunState = RunState.SUCCESS, **changes: Any) -> RunRecord:
    """A run as the store's API tells of it."""
    now = datetime.now(tz=UTC)
    values: dict[str, Any] = {
        "correlation_id": correlation_id,
        "workflow_id": "w",
        "workflow_run_id": "r",
        "state": state,
        "phase": Phase.FINISHED,
        "status": state,
        "result": {"from": "the store"},
        "result_bytes": 20,
        "result_attempt": 1,
        "finished_at": now - timedelta(days=8),
        "updated_at": now - timedelta(days=8),
    }
    return RunRecord.model_validate({**values, **changes})

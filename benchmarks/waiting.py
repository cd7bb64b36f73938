"""What the waiters of the benchmarks wait with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from workflow_events import PendingRequest

if TYPE_CHECKING:
    from workflow_events import KafkaSettings

__all__ = ["pending_request"]


def pending_request(
    settings: KafkaSettings, correlation_id: UUID, cursor: Mapping[int, int], partition: int | None = None
) -> PendingRequest:
    """A request that is waited for on the result topic for an hour, longer than any run takes."""
    return PendingRequest(
        correlation_id=correlation_id,
        workflow_id="bench",
        workflow_run_id="bench",
        reply_topic=settings.workflow_results_topic,
        reply_partition=partition,
        reply_cursor=dict(cursor),
        deadline=datetime.now(tz=UTC) + timedelta(hours=1),
    )

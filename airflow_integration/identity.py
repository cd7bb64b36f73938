"""Which request a task instance asks for: the same on an automatic retry, another after a clear.

Pattern: Idempotent Receiver (Enterprise Integration Patterns); the task instance is the idempotency key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workflow_events.identifiers import derive_correlation_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

__all__ = ["RequestIdentity", "identity_of", "request_identity"]


@dataclass(frozen=True, slots=True)
class RequestIdentity:
    """What names a task instance's request.

    Attributes:
        attempt: the task instance's try number, from 1.
    """

    correlation_id: UUID
    workflow_run_id: str
    attempt: int


def request_identity(
    *, dag_id: str, run_id: str, task_id: str, map_index: int, generation: int, attempt: int, time: datetime
) -> RequestIdentity:
    """The identity of one task instance's request.

    Args:
        map_index: -1 for a task that is not mapped.
        generation: what a user's clear changes and an automatic retry does not: the task instance's ``max_tries``,
            which a clear sets to the tries so far plus the task's retries.
        attempt: the try number.
        time: aware; the start of the DAG run. Airflow moves it only when a finished run is cleared, and then no task
            instance of the run is between two tries.
    """
    return RequestIdentity(
        correlation_id=derive_correlation_id(dag_id, run_id, task_id, str(map_index), str(generation), time=time),
        workflow_run_id=run_id,
        attempt=attempt,
    )


def identity_of(context: Mapping[str, Any]) -> RequestIdentity:
    """The identity of the task instance whose context this is."""
    instance = context["ti"]
    run = context["dag_run"]
    map_index = instance.map_index
    return request_identity(
        dag_id=instance.dag_id,
        run_id=instance.run_id,
        task_id=instance.task_id,
        map_index=-1 if map_index is None else map_index,
        generation=instance.max_tries,
        attempt=max(1, instance.try_number),
        # A run that never went through the scheduler (dag.test in some versions) has no start.
        time=run.start_date or run.run_after,
    )

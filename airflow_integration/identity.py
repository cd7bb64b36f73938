"""Which request a task instance asks for: the same on an automatic retry, another after a clear.

Pattern: Idempotent Receiver (Enterprise Integration Patterns); the task instance is the idempotency key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from workflow_events.identifiers import derive_correlation_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

__all__ = ["RequestIdentity", "identity_of", "request_identity"]


@dataclass(frozen=True, slots=True)
class RequestIdentity:
    """What names a task instance's request, or its requests.

    Attributes:
        parts: what makes it this task instance and no other, with what a clear changes.
        time: aware; the start of the DAG run.
        attempt: the task instance's try number, from 1.
    """

    parts: tuple[str, ...]
    time: datetime
    workflow_run_id: str
    attempt: int

    @property
    def correlation_id(self) -> UUID:
        """The id of the one request."""
        return derive_correlation_id(*self.parts, time=self.time)

    def correlation_id_of(self, index: int) -> UUID:
        """The id of one of many requests, counted from 0. It is none of another task instance's."""
        return derive_correlation_id(*self.parts, str(index), time=self.time)

    def correlation_id_about(self, *about: str) -> UUID:
        """The id of a further request of the task instance, by what it is about, such as a question's id."""
        return derive_correlation_id(*self.parts, "about", *about, time=self.time)


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
        parts=(dag_id, run_id, task_id, str(map_index), str(generation)),
        time=time,
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

"""What the store answers: the shapes of the API's answers, the page's contents and the reports' rows.

They are what :mod:`result_store.database.queries` gives and what OpenAPI describes, so there is one description of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

__all__ = [
    "EVERYBODY",
    "PHASES",
    "BatchStatus",
    "BatchSummary",
    "DeadLetterRecord",
    "Execution",
    "InvalidMessageRecord",
    "Page",
    "Phase",
    "RunRecord",
    "RunState",
    "RunSummary",
    "Scope",
    "StoredEvent",
    "TimelineEntry",
]


class RunState(StrEnum):
    """Where a request stands."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"


class Phase(StrEnum):
    """How far a request has come, whatever its end."""

    REQUESTED = "requested"
    ACCEPTED = "accepted"
    RUNNING = "running"
    FINISHED = "finished"


PHASES: Final[dict[RunState, Phase]] = {
    **dict.fromkeys(RunState, Phase.FINISHED),
    RunState.PENDING: Phase.REQUESTED,
    RunState.ACCEPTED: Phase.ACCEPTED,
    RunState.RUNNING: Phase.RUNNING,
}
"""The phase of each state."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose requests may be seen; None: everybody's."""

    user_id: str | None = None
    tenant_id: str | None = None


EVERYBODY: Final = Scope()


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class RunSummary(_Record):
    """A request in short.

    Attributes:
        state: where it stands.
        attempt: the last attempt known.
        deadline: until when its requester waits.
        last_heard_at: when a worker told of it last.
        node: the node that began last.
        duration_ms: time in the graph, in milliseconds.
        updated_at: when the last of its messages was published.
    """

    correlation_id: UUID
    workflow_id: str
    workflow_run_id: str
    state: RunState
    phase: Phase
    attempt: int | None = None
    graph: str | None = None
    user_id: str | None = None
    tenant_id: str | None = None
    worker: str | None = None
    node: str | None = None
    heartbeat_interval: float | None = None
    requested_at: AwareDatetime | None = None
    accepted_at: AwareDatetime | None = None
    begun_at: AwareDatetime | None = None
    last_heard_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    deadline: AwareDatetime | None = None
    duration_ms: float | None = None
    error: str | None = None
    error_type: str | None = None
    updated_at: AwareDatetime


class Execution(_Record):
    """How a program went that the workflow ran, where its result has a block ``execution``."""

    stdout: str | None = None
    stderr: str | None = None
    exit_code: int | None = None
    duration_ms: float | None = None
    peak_memory_bytes: int | None = None


class TimelineEntry(_Record):
    """One thing that happened to a request.

    Attributes:
        kind: ``requested``, ``accepted``, ``run_started``, ``node_started``, ``node_finished``, ``custom`` or ``result``.
        status: of a result.
    """

    at: AwareDatetime
    kind: str
    attempt: int | None = None
    node: str | None = None
    step: int | None = None
    status: str | None = None
    worker: str | None = None
    duration_ms: float | None = None
    data: Any = None


class RunRecord(RunSummary):
    """A request, and all that is known of its end.

    Attributes:
        result: the answer; None where there is none yet.
        result_attempt: the attempt that it answers.
        result_bytes: size of its JSON.
        result_archive_key: where the whole message is, in the archive.
    """

    thread_id: str | None = None
    environment: str | None = None
    source: str | None = None
    status: RunState | None = None
    result_attempt: int | None = None
    result: dict[str, Any] | None = None
    result_bytes: int | None = None
    error_node: str | None = None
    error_retryable: bool | None = None
    error_detail: dict[str, Any] | None = None
    interrupts: list[dict[str, Any]] | None = None
    usage: dict[str, Any] | None = None
    total_tokens: int | None = None
    cost: float | None = None
    checkpoint_id: str | None = None
    started_at: AwareDatetime | None = None
    execution: Execution | None = None
    request_archive_key: str | None = None
    result_archive_key: str | None = None
    timeline: list[TimelineEntry] = Field(default_factory=list)


class BatchSummary(_Record):
    """The requests of one ``workflow_run_id``, counted."""

    workflow_run_id: str
    total: int
    by_state: dict[RunState, int]
    by_phase: dict[Phase, int]
    requested_at: AwareDatetime | None = None
    updated_at: AwareDatetime


_Item = TypeVar("_Item")


class Page(_Record, Generic[_Item]):
    """Some of many (keyset pagination: the next page begins behind the last item of this one, whatever came meanwhile).

    Attributes:
        next: asks for the next page, as ``cursor``; None where this is the last.
    """

    items: list[_Item]
    next: str | None = None


class BatchStatus(BatchSummary):
    """A batch, and each of its requests, a page at a time."""

    requests: Page[RunSummary]


class InvalidMessageRecord(_Record):
    """A message that is none, or that the database would not take. ``value`` is its beginning, as text where it is text."""

    topic: str
    partition: int
    offset: int
    error_type: str
    error: str
    correlation_id: UUID | None = None
    size: int
    value: str
    at: AwareDatetime


class DeadLetterRecord(_Record):
    """A message that a worker has given up."""

    topic: str
    partition: int
    offset: int
    code: str
    reason: str
    correlation_id: UUID | None = None
    origin_topic: str | None = None
    origin_partition: int | None = None
    origin_offset: int | None = None
    size: int
    at: AwareDatetime


class StoredEvent(_Record):
    """What live views are told: a request's row has changed. ``payload.data`` of ``workflow.result_stored``, and SSE's data."""

    correlation_id: UUID
    workflow_id: str
    workflow_run_id: str
    state: RunState
    phase: Phase
    user_id: str | None = None
    tenant_id: str | None = None
    updated_at: datetime

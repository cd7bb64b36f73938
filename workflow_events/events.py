"""The events that both sides share, as they stand on the wire.

Reading is lenient where the contract lets it grow: unknown fields are ignored, unknown event types and sources are kept
as plain strings. It is strict in what it knows: an id is a UUID, a time is aware, a name is not empty. Models are frozen;
make a changed copy with ``model_copy(update=...)``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from workflow_events import errors
from workflow_events.identifiers import new_event_id

__all__ = [
    "PROTOCOL_VERSION",
    "REQUESTS",
    "ClaimCheck",
    "ErrorCause",
    "ErrorDetail",
    "EventSource",
    "EventType",
    "ResultStatus",
    "WorkflowEvent",
    "WorkflowEventMetadata",
    "WorkflowEventPayload",
    "WorkflowResultEvent",
]

PROTOCOL_VERSION = "1.0"
"""The version of the wire contract, apart from the package's. It rises when a peer must know of the change."""

Name = Annotated[str, Field(min_length=1, max_length=1024)]
Data = dict[str, JsonValue]


class EventType(StrEnum):
    """What an event says. A reader keeps types that it does not know as plain strings."""

    WORKFLOW_TRIGGERED = "workflow.triggered"
    WORKFLOW_COMPLETED = "workflow.completed"
    WORKFLOW_FAILED = "workflow.failed"
    WORKFLOW_RESULT = "workflow.result"
    WORKFLOW_ACCEPTED = "workflow.accepted"
    WORKFLOW_PROGRESS = "workflow.progress"
    WORKFLOW_HEARTBEAT = "workflow.heartbeat"
    WORKFLOW_CANCEL = "workflow.cancel"
    WORKFLOW_RESUME = "workflow.resume"


REQUESTS: Final = frozenset({EventType.WORKFLOW_TRIGGERED, EventType.WORKFLOW_RESUME})
"""The types of the events that ask for a result."""


class EventSource(StrEnum):
    """Which side published an event."""

    AIRFLOW = "airflow"
    LANGGRAPH = "langgraph"
    FASTAPI = "fastapi"


class ResultStatus(StrEnum):
    """How a request ended. ``failure``: the workflow ran and says no. ``error``: it broke."""

    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"


class _WireModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class ClaimCheck(_WireModel):
    """Stands for data that is kept in a store (pattern: Claim Check, Enterprise Integration Patterns).

    It says what the data is, not where: readers work out the place from the event's id and the digest, in the store of their
    own settings.

    Attributes:
        sha256: digest of the data's JSON text, in hexadecimal digits.
        size: bytes of that text.
        expires_at: when it may be gone.
    """

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]
    expires_at: AwareDatetime


class WorkflowEventPayload(_WireModel):
    """The body of a request.

    Attributes:
        data: the graph's input.
        graph: the name of the graph to run, where ``workflow_id`` is not its name.
    """

    data: Data = Field(default_factory=dict)
    graph: Name | None = None


class WorkflowEventMetadata(_WireModel):
    """Where an event comes from. Fields beyond these two (a user, a tenant) are kept and passed on."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    environment: Literal["dev", "staging", "prod"] = "dev"
    version: str = PROTOCOL_VERSION


def _now() -> datetime:
    return datetime.now(tz=UTC)


class WorkflowEvent(_WireModel):
    """A request, or any event about one.

    Attributes:
        event_id: UUIDv7 by default; for a request it is the correlation id.
        workflow_id: names the graph, or the DAG where the payload names the graph.
        workflow_run_id: groups requests that belong together, such as one DAG run's.
        deadline: absolute; a worker does not start a request after it.
        attempt: counts from 1; a requester's automatic retry raises it and keeps ``event_id``.
        thread_id: the LangGraph thread to run on; a thread of its own where None.
        claim_check: stands for the payload's data, which is then empty.
    """

    event_id: UUID = Field(default_factory=new_event_id)
    event_type: Annotated[EventType | Name, Field(union_mode="left_to_right")]
    timestamp: AwareDatetime = Field(default_factory=_now)
    source: Annotated[EventSource | Name, Field(union_mode="left_to_right")]
    workflow_id: Name
    workflow_run_id: Name
    payload: WorkflowEventPayload = Field(default_factory=WorkflowEventPayload)
    metadata: WorkflowEventMetadata = Field(default_factory=WorkflowEventMetadata)

    deadline: AwareDatetime | None = None
    attempt: Annotated[int, Field(ge=1)] = 1
    thread_id: Name | None = None
    claim_check: ClaimCheck | None = None


class ErrorCause(_WireModel):
    """One link of an error's cause chain."""

    type: str
    message: str


class ErrorDetail(_WireModel):
    """What broke, typed, so that a requester can decide without parsing prose.

    Attributes:
        type: qualified name of the exception's class.
        node: the graph's node that raised it, where known.
        retryable: the worker's judgement whether asking again may help; None where it has none.
        causes: the chain of ``__cause__`` and ``__context__``, nearest first.
    """

    type: str
    message: str
    node: str | None = None
    retryable: bool | None = None
    causes: tuple[ErrorCause, ...] = ()


class WorkflowResultEvent(_WireModel):
    """The one terminal answer to a request.

    Everything after ``error`` is optional and additive.

    Attributes:
        result: the graph's answer; empty where there is none.
        error: a sentence for people where the status is not ``success``.
        attempt: the attempt of the request that this answers; None from workers that do not know attempts.
        checkpoint_id: the checkpoint that holds the answer, from which the run can go on.
        interrupts: the open questions of an ``interrupted`` run.
        usage: token counts, as the models reported them.
        duration_ms: time in the graph, in milliseconds.
        claim_check: stands for the result, which is then empty.
    """

    correlation_id: UUID
    workflow_id: Name
    workflow_run_id: Name
    result: Data = Field(default_factory=dict)
    status: ResultStatus = ResultStatus.SUCCESS
    timestamp: AwareDatetime = Field(default_factory=_now)
    error: str | None = None

    error_detail: ErrorDetail | None = None
    attempt: Annotated[int, Field(ge=1)] | None = None
    thread_id: str | None = None
    checkpoint_id: str | None = None
    interrupts: list[Data] | None = None
    usage: Data | None = None
    started_at: AwareDatetime | None = None
    duration_ms: Annotated[float, Field(ge=0)] | None = None
    claim_check: ClaimCheck | None = None

    def raise_for_status(self) -> Self:
        """This event, if it is a success; else the matching error.

        Raises:
            WorkflowFailedError: status ``failure``.
            WorkflowErroredError: status ``error``.
            WorkflowCancelledError: status ``cancelled``.
            WorkflowInterruptedError: status ``interrupted``.
        """
        if self.status is ResultStatus.SUCCESS:
            return self
        raise _ERROR_OF_STATUS[self.status](self)


_ERROR_OF_STATUS: dict[ResultStatus, type[errors.WorkflowResultError]] = {
    ResultStatus.FAILURE: errors.WorkflowFailedError,
    ResultStatus.ERROR: errors.WorkflowErroredError,
    ResultStatus.CANCELLED: errors.WorkflowCancelledError,
    ResultStatus.INTERRUPTED: errors.WorkflowInterruptedError,
}

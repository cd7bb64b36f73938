"""What the result store tells of a request, as its API answers it, and the result in that. Pure.

The API is another process's, maybe of another version: fields that are not known are ignored, and those that are only told to
people stay optional.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from workflow_events.errors import AccessDeniedError, ConfigurationError, ResultStoreUnavailableError
from workflow_events.events import ErrorDetail, ResultStatus, WorkflowResultEvent
from workflow_events.settings_checks import variable
from workflow_events.validation import explain

if TYPE_CHECKING:
    from workflow_events.settings import KafkaSettings

__all__ = ["StoredRun", "StoredStep", "headers_for", "read_answer", "result_in", "url_of"]

_PROBLEM = "application/problem+json"
_LONGEST_DETAIL = 300
_NO_RESULT = len(b"{}")


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class StoredStep(_Answer):
    """One thing that happened to a request, from the store's timeline of it."""

    at: AwareDatetime
    kind: str
    attempt: int | None = None
    node: str | None = None
    status: str | None = None
    worker: str | None = None
    duration_ms: float | None = None


class StoredRun(_Answer):
    """A request as the store has it.

    Attributes:
        state: where it stands, such as ``pending``, ``running`` or a result's status.
        status: the result's; None where there is none yet.
        result_attempt: the attempt that the result answers; None where it does not say.
        result_bytes: size of the result's JSON.
    """

    correlation_id: UUID
    workflow_id: str
    workflow_run_id: str
    state: str
    attempt: int | None = None
    worker: str | None = None
    node: str | None = None
    heartbeat_interval: float | None = None
    requested_at: AwareDatetime | None = None
    accepted_at: AwareDatetime | None = None
    begun_at: AwareDatetime | None = None
    last_heard_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    deadline: AwareDatetime | None = None
    status: ResultStatus | None = None
    result_attempt: int | None = None
    result: dict[str, Any] | None = None
    result_bytes: int | None = None
    error: str | None = None
    error_detail: ErrorDetail | None = None
    interrupts: list[dict[str, Any]] | None = None
    usage: dict[str, Any] | None = None
    thread_id: str | None = None
    checkpoint_id: str | None = None
    started_at: AwareDatetime | None = None
    duration_ms: float | None = None
    timeline: list[StoredStep] = Field(default_factory=list)


def url_of(settings: KafkaSettings, correlation_id: UUID) -> str:
    """Where the store answers for a request."""
    return f"{settings.result_store_url}/internal/v1/results/{correlation_id}"


def headers_for(settings: KafkaSettings, correlation_id: UUID) -> dict[str, str]:
    """What goes with the question; the key is among it."""
    headers = {
        "Accept": "application/json",
        "User-Agent": settings.client_id.encode("ascii", "replace").decode(),
        "X-Correlation-ID": str(correlation_id),
    }
    if settings.result_store_api_key is not None:
        headers["X-Internal-API-Key"] = settings.result_store_api_key.get_secret_value()
    if settings.result_store_service is not None:
        headers["X-Service-ID"] = settings.result_store_service
    return headers


def read_answer(url: str, correlation_id: UUID, status: int, content_type: str, body: bytes) -> StoredRun | None:
    """The run that an answer of the API holds; None where the store does not know the request.

    Args:
        url: the store's address, for errors.
        correlation_id: the request that it was asked for. Who does not know it names it; an address that leads beside the API
            answers 404 too, and does not.
        status: the HTTP status.
        content_type: that header.

    Raises:
        AccessDeniedError: the store does not know the key, or does not let it ask.
        ResultStoreUnavailableError: the store cannot answer now.
        ConfigurationError: what answered is no result store.
    """
    if status in {401, 403}:
        raise AccessDeniedError(
            f"The result store {url} refuses this process ({status}{_detail(content_type, body)}). Check "
            f"{variable('result_store_api_key')} and {variable('result_store_service')}; `result-store keys list` shows which "
            "keys hold."
        )
    if status == 429 or status >= 500:
        raise ResultStoreUnavailableError(
            f"The result store {url} cannot answer now ({status}{_detail(content_type, body)})."
        )
    if status == 404 and str(correlation_id) in _detail(content_type, body):
        return None
    if status != 200:
        raise _not_a_store(url, f"it answers {status}{_detail(content_type, body)}")
    try:
        return StoredRun.model_validate_json(body)
    except ValidationError as error:
        said = explain(error)
    raise _not_a_store(url, f"its answer is no run: {said}")


def result_in(url: str, run: StoredRun) -> WorkflowResultEvent | None:
    """The result of a run; None where there is none yet.

    Raises:
        ResultStoreUnavailableError: it is too large for its row, and the store could not get it from its archive.
        ConfigurationError: it is none that an event can hold.
    """
    if run.status is None or run.finished_at is None:
        return None
    if run.result is None and (run.result_bytes or 0) > _NO_RESULT:
        raise ResultStoreUnavailableError(
            f"The result store {url} knows of the result of request {run.correlation_id} and cannot give it now: it is in its "
            "archive. Check the store's /readyz."
        )
    try:
        return WorkflowResultEvent(
            correlation_id=run.correlation_id,
            workflow_id=run.workflow_id,
            workflow_run_id=run.workflow_run_id,
            result=run.result or {},
            status=run.status,
            timestamp=run.finished_at,
            error=run.error,
            error_detail=run.error_detail,
            attempt=run.result_attempt,
            thread_id=run.thread_id,
            checkpoint_id=run.checkpoint_id,
            interrupts=run.interrupts,
            usage=run.usage,
            started_at=run.started_at,
            duration_ms=run.duration_ms,
        )
    except ValidationError as error:
        said = explain(error)
    raise _not_a_store(url, f"its answer holds no result: {said}")


def _not_a_store(url: str, said: str) -> ConfigurationError:
    return ConfigurationError(
        f"There is no result store at {url}: {said}. Check {variable('result_store_url')}, and that both sides have versions "
        "that fit."
    )


def _detail(content_type: str, body: bytes) -> str:
    """What a problem (RFC 9457) says to people, in brackets' company; an empty text where it says nothing."""
    if not content_type.startswith(_PROBLEM):
        return ""
    try:
        said = from_json(body)["detail"]
    except (ValueError, KeyError, TypeError):
        return ""
    text = "".join(one for one in str(said) if one.isprintable()).strip().rstrip(".")
    return f": {text[:_LONGEST_DETAIL]}" if text else ""

"""All that a waiter needs to know, as plain JSON.

A pending request outlives the process that made it: it may lie in Airflow's database inside a serialized trigger and be
taken up by any triggerer (pattern: Claim Check for a conversation's state; the reply cursor stands in for a consumer
group's committed offset).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from workflow_events.errors import InvalidEventError
from workflow_events.validation import explain

__all__ = ["PendingRequest"]


class PendingRequest(BaseModel):
    """A request that has been published and whose result is awaited.

    Attributes:
        attempt: counts from 1; a failure of an earlier attempt is not handed to this one.
        reply_topic: where the result will appear.
        reply_partition: the one partition where it will appear; None: any.
        reply_cursor: first offset to read, by partition, taken before the request was published. A partition that is not
            named did not exist then, and is read from its start.
        deadline: absolute; the wait ends there.
        thread_id: the LangGraph thread, where the request named one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    correlation_id: UUID
    workflow_id: str
    workflow_run_id: str
    attempt: Annotated[int, Field(ge=1)] = 1
    reply_topic: str
    reply_partition: Annotated[int, Field(ge=0)] | None = None
    reply_cursor: dict[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]
    deadline: AwareDatetime
    thread_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """This request as a JSON-ready dict; :meth:`from_json` takes it back."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: dict[str, Any] | str | bytes) -> Self:
        """A pending request from what :meth:`to_json` gave, or from its JSON text.

        Raises:
            InvalidEventError: it is not one.
        """
        try:
            return cls.model_validate_json(data) if isinstance(data, str | bytes) else cls.model_validate(data)
        except ValidationError as error:
            raise InvalidEventError(
                f"Not a pending request: {explain(error)}. Pass what PendingRequest.to_json() gave, unchanged."
            ) from None

    def remaining(self, now: datetime | None = None) -> float:
        """Seconds until the deadline; negative after it."""
        return (self.deadline - (now or datetime.now(tz=UTC))).total_seconds()

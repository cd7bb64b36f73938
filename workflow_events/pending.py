"""All that a waiter needs to know, as plain JSON.

A pending request outlives the process that made it: it may lie in Airflow's database inside a serialized trigger and be
taken up by any triggerer (pattern: Claim Check for a conversation's state; the reply cursor stands in for a consumer
group's committed offset).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from workflow_events.errors import InvalidEventError
from workflow_events.validation import explain

__all__ = ["PendingRequest", "clock_fields", "ends_at"]


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


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
        accepted_timeout: seconds from the publish within which a worker must have taken the request; None: no such clock.
        accepted_by: the same as an absolute time, which holds for whoever takes up the wait.
        heartbeat_timeout: seconds for which the worker that took it may be silent; None: no such clock.
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
    accepted_timeout: Seconds | None = None
    accepted_by: AwareDatetime | None = None
    heartbeat_timeout: Seconds | None = None

    @classmethod
    def of_valid(cls, fields: dict[str, Any]) -> Self:
        """A pending request of fields that are known to be valid: all of them, in order.

        To validate them once more takes three times as long, and so does pydantic's own ``model_construct``.
        """
        pending = cls.__new__(cls)
        set_past_freezing = object.__setattr__
        set_past_freezing(pending, "__dict__", fields)
        set_past_freezing(pending, "__pydantic_fields_set__", _FIELDS)
        set_past_freezing(pending, "__pydantic_extra__", None)
        set_past_freezing(pending, "__pydantic_private__", None)
        return pending

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

    @property
    def clocked(self) -> bool:
        """Whether the wait may end before its deadline, because no worker took the request or one went silent."""
        return self.accepted_by is not None or self.heartbeat_timeout is not None

    def until_accepted_by(self, now: datetime | None = None) -> float | None:
        """Seconds within which a worker must have taken the request, negative after that; None: no such clock."""
        if self.accepted_by is None:
            return None
        return (self.accepted_by - (now or datetime.now(tz=UTC))).total_seconds()

    def with_clocks(
        self,
        *,
        accepted_timeout: float | None = None,
        heartbeat_timeout: float | None = None,
        now: datetime | None = None,
    ) -> Self:
        """A copy with other clocks; None leaves a clock as it is.

        Args:
            accepted_timeout: seconds from now.
            heartbeat_timeout: seconds.
            now: the clock, for tests.

        Raises:
            InvalidEventError: a time-out is not above 0, or too long.
        """
        if accepted_timeout is None and heartbeat_timeout is None:
            return self
        begun = now or datetime.now(tz=UTC)
        changes = clock_fields(begun, accepted_timeout=accepted_timeout, heartbeat_timeout=heartbeat_timeout)
        return self.model_copy(update=changes)


_FIELDS = set(PendingRequest.model_fields)


def clock_fields(begun: datetime, *, accepted_timeout: float | None, heartbeat_timeout: float | None) -> dict[str, Any]:
    """The fields of a pending request that hold its clocks; only those that are asked for.

    Raises:
        InvalidEventError: a time-out is not above 0, or too long.
    """
    fields: dict[str, Any] = {}
    if accepted_timeout is not None:
        fields["accepted_timeout"] = _seconds("accepted_timeout", accepted_timeout)
        fields["accepted_by"] = ends_at(begun, accepted_timeout, "accepted_timeout")
    if heartbeat_timeout is not None:
        fields["heartbeat_timeout"] = _seconds("heartbeat_timeout", heartbeat_timeout)
    return fields


def ends_at(begun: datetime, seconds: float, name: str) -> datetime:
    """When a time-out of so many seconds ends.

    Raises:
        InvalidEventError: it is not above 0, or ends when no date can say it; the message has ``name`` for it.
    """
    try:
        return begun + timedelta(seconds=_seconds(name, seconds))
    except OverflowError:
        raise InvalidEventError(f"{name} would end after the year 9999: {seconds:g} s is too long.") from None


def _seconds(name: str, seconds: float) -> float:
    if not 0 < seconds < math.inf:
        raise InvalidEventError(f"{name} is a number of seconds above 0, not {seconds!r}.")
    return float(seconds)

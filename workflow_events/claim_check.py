"""Large payloads travel by reference: what is put where, and whether what comes back is it. The pure part.

The pattern is the Claim Check (Enterprise Integration Patterns). Where a message is larger than a threshold, the request's data
or the result's object goes into a store, and the event carries its digest, size and expiry instead
(:class:`~workflow_events.events.ClaimCheck`). Whoever reads the event works out the place from its own settings, the event's id
and the digest. No path and no address from the wire is ever followed.

The place is the same whenever the same content is put there for the same request, so that to publish again overwrites it with
itself. It names the request, so that an event cannot have another request's payload taken.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from workflow_events.errors import ClaimCheckError, InvalidEventError, MessageTooLargeError
from workflow_events.events import REQUESTS, ClaimCheck, EventType, ResultStatus, WorkflowEvent, WorkflowResultEvent
from workflow_events.validation import explain
from workflow_events.wire import decode_event, decode_result, encode

if TYPE_CHECKING:
    from workflow_events.wire import OutgoingMessage

__all__ = ["Claim", "Deposit", "as_error", "check_in", "claim_of", "place_of", "redeemed"]

_Event = TypeVar("_Event", bound=WorkflowEvent | WorkflowResultEvent)

_REQUESTS = frozenset(kind.value.encode() for kind in REQUESTS)
_RESULT = EventType.WORKFLOW_RESULT.value.encode()


class Deposit(NamedTuple):
    """What goes into the store, and the message that refers to it.

    Attributes:
        place: the object's key, relative to the store.
    """

    place: str
    body: bytes
    message: OutgoingMessage


class Claim(NamedTuple):
    """What an event has in the store.

    Attributes:
        place: the object's key, relative to the store.
        what: names it in errors.
    """

    place: str
    check: ClaimCheck
    what: str


def place_of(event: WorkflowEvent | WorkflowResultEvent, sha256: str) -> str:
    """The key of an event's payload: kind, request's id and digest. All three have been validated, none is free text."""
    if isinstance(event, WorkflowResultEvent):
        return f"results/{event.correlation_id}/{sha256}"
    return f"requests/{event.event_id}/{sha256}"


def check_in(message: OutgoingMessage, *, threshold: int, max_bytes: int, expires_at: datetime) -> Deposit | None:
    """What to put into the store before a message is published; None where it can go as it is.

    Args:
        message: any; only requests and results have a payload to put there.
        threshold: bytes of the message's value up to which it goes as it is.
        max_bytes: the largest payload.
        expires_at: until when it will be kept.

    Raises:
        MessageTooLargeError: the payload is larger than ``max_bytes``.
    """
    if len(message.value) <= threshold:
        return None
    event = _event_in(message)
    if event is None or event.claim_check is not None:
        return None
    body = to_json(event.result if isinstance(event, WorkflowResultEvent) else event.payload.data)
    if len(body) > max_bytes:
        raise MessageTooLargeError(
            f"The payload has {len(body):,} bytes, and the store takes {max_bytes:,}: send less, or raise "
            "KAFKA_CLAIM_CHECK_MAX_BYTES on both sides."
        )
    check = ClaimCheck(sha256=hashlib.sha256(body).hexdigest(), size=len(body), expires_at=expires_at)
    referring = _with_data(event, {}, check)
    return Deposit(place_of(event, check.sha256), body, replace(message, value=encode(referring)))


def claim_of(
    event: WorkflowEvent | WorkflowResultEvent, *, max_bytes: int, now: datetime | None = None
) -> Claim | None:
    """What an event has in the store; None where it carries its payload itself.

    Raises:
        ClaimCheckError: it has expired, or is larger than ``max_bytes``.
    """
    check = event.claim_check
    if check is None:
        return None
    if isinstance(event, WorkflowResultEvent):
        what = f"The result of request {event.correlation_id}"
    else:
        what = f"The data of request {event.event_id}"
    what = f"{what} ({check.size:,} bytes, SHA-256 {check.sha256[:12]}…)"
    if check.expires_at <= (now or datetime.now(tz=UTC)):
        raise ClaimCheckError(
            f"{what} was kept until {check.expires_at.isoformat(timespec='seconds')}, and may be gone: ask again, and raise "
            "KAFKA_CLAIM_CHECK_RETENTION above the time between a message and its use."
        )
    if check.size > max_bytes:
        raise ClaimCheckError(
            f"{what} is larger than the {max_bytes:,} bytes that this reader takes: raise KAFKA_CLAIM_CHECK_MAX_BYTES here."
        )
    return Claim(place_of(event, check.sha256), check, what)


def redeemed(event: _Event, claim: Claim, body: bytes) -> _Event:
    """The event with its payload in its place.

    Raises:
        ClaimCheckError: ``body`` is not what the event refers to.
    """
    digest = hashlib.sha256(body).hexdigest()
    if len(body) != claim.check.size or not hmac.compare_digest(digest, claim.check.sha256):
        raise ClaimCheckError(
            f"{claim.what} is not what the store holds at {claim.place!r}: {len(body):,} bytes, SHA-256 {digest[:12]}…. It was "
            "changed after it was put there: find out who may write to the store, and ask again."
        )
    try:
        return _with_data(event, from_json(body), None)
    except ValidationError as error:
        problem = explain(error)
    except ValueError:
        problem = "it is no JSON"
    raise ClaimCheckError(f"{claim.what} is what was put into the store, and no object of JSON values: {problem}.")


def as_error(event: WorkflowResultEvent, error: Exception) -> WorkflowResultEvent:
    """A result whose payload cannot be had, as an ``error`` result that says so; for who gathers many and has the others."""
    from workflow_events.events import ErrorDetail  # noqa: PLC0415 - seldom needed

    kind = type(error)
    detail = ErrorDetail(
        type=f"{kind.__module__}.{kind.__qualname__}", message=str(error), retryable=getattr(error, "retryable", None)
    )
    return event.model_copy(
        update={"status": ResultStatus.ERROR, "error": str(error), "error_detail": detail, "claim_check": None}
    )


def _event_in(message: OutgoingMessage) -> WorkflowEvent | WorkflowResultEvent | None:
    kind = next((value for name, value in message.headers if name == "ce_type"), None)
    try:
        if kind == _RESULT:
            return decode_result(message.value)
        if kind in _REQUESTS:
            return decode_event(message.value)
    except InvalidEventError:
        pass  # a dead letter keeps the headers of what it was
    return None


def _with_data(event: _Event, data: Any, check: ClaimCheck | None) -> _Event:
    fields: dict[str, Any] = {**dict(event), "claim_check": check}
    if isinstance(event, WorkflowResultEvent):
        fields["result"] = data
    else:
        fields["payload"] = {**dict(event.payload), "data": data}
    return cast("_Event", type(event).model_validate(fields))

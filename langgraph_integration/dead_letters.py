"""Which messages are given up, and what their senders are told.

Pattern: Invalid Message Channel, Enterprise Integration Patterns.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from langgraph_integration.error_details import describe_error, message_of
from langgraph_integration.errors import InvalidRequestError, PoisonedRequestError, RefusalError
from workflow_events.dead_letters import DeadLetterReason, letter_message, reason_of_malformed, without_value
from workflow_events.errors import InvalidEventError
from workflow_events.events import ResultStatus, WorkflowEvent, WorkflowResultEvent
from workflow_events.wire import OutgoingMessage, correlation_id_in, decode_event

if TYPE_CHECKING:
    from aiokafka.structs import ConsumerRecord

__all__ = ["Refusal", "answer_to_invalid", "dead_letter", "poisoned", "read_request", "without_value"]

_UNKNOWN = "unknown"
_LONGEST_NAME = 1024
_LONGEST_ATTEMPT = 2**31


class Refusal(Exception):  # noqa: N818 - it is a decision, not a fault
    """A message that is given up.

    Attributes:
        code: why, as a word.
        error: what its sender is told; its text holds no value of the message.
    """

    def __init__(self, code: DeadLetterReason, error: RefusalError) -> None:
        super().__init__(str(error))
        self.code = code
        self.error = error

    def stack(self) -> str | None:
        """The stack of the exception that told, its line numbers and texts; None where there was none."""
        if self.__traceback__ is None:
            return None
        return "".join(traceback.format_exception(self))


def read_request(value: bytes | None, *, max_bytes: int) -> WorkflowEvent:
    """The event in a message.

    Args:
        max_bytes: a value above this is not looked at.

    Raises:
        Refusal: it is too large, is no JSON, or is no event.
    """
    size = len(value or b"")
    if size > max_bytes:
        raise Refusal(
            DeadLetterReason.OVERSIZE,
            InvalidRequestError(
                f"The message has {size} bytes, and no more than {max_bytes} are read (KAFKA_MAX_READ_BYTES)."
            ),
        )
    try:
        return decode_event(value)
    except InvalidEventError as error:
        code = reason_of_malformed(value)
        raise Refusal(code, InvalidRequestError(str(error))) from error


def poisoned(crashes: int, *, topic: str) -> Refusal:
    """What is said of a request that has crashed its worker too often.

    Args:
        crashes: how often.
        topic: the dead-letter topic, where it will lie.
    """
    return Refusal(
        DeadLetterReason.POISON,
        PoisonedRequestError(
            f"The worker that ran this request died, {crashes} times (WORKFLOW_WORKER_MAX_CRASHES); it is not run again, "
            f"and lies in {topic}."
        ),
    )


def dead_letter(record: ConsumerRecord, refusal: Refusal, *, topic: str) -> OutgoingMessage:
    """The message for the dead-letter topic."""
    return letter_message(record, refusal.code, str(refusal), topic=topic, stack=refusal.stack())


def answer_to_invalid(
    record: ConsumerRecord, refusal: Refusal, *, max_bytes: int | None = None
) -> WorkflowResultEvent | None:
    """The ``error`` result for a message that is given up; None where not even its id can be read.

    Args:
        max_bytes: a value above this is not looked at, only the headers are.
    """
    value = record.value or b""
    if max_bytes is not None and len(value) > max_bytes:
        value = b""
    correlation_id = correlation_id_in(record.headers, value)
    if correlation_id is None:
        return None
    body = _body(value)
    return WorkflowResultEvent(
        correlation_id=correlation_id,
        workflow_id=_name(body.get("workflow_id")),
        workflow_run_id=_name(body.get("workflow_run_id")),
        status=ResultStatus.ERROR,
        error=message_of(refusal.error),
        error_detail=describe_error(refusal.error),
        attempt=_attempt(body.get("attempt")),
    )


def _body(value: bytes | None) -> dict[str, Any]:
    try:
        body = from_json(value or b"")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _name(found: object) -> str:
    # What from_json reads has a UTF-8 form: it refuses lone surrogates.
    return found if isinstance(found, str) and 0 < len(found) <= _LONGEST_NAME else _UNKNOWN


def _attempt(found: object) -> int | None:
    return found if type(found) is int and 1 <= found <= _LONGEST_ATTEMPT else None

"""What becomes of a message that cannot be processed (pattern: Dead Letter Channel, Enterprise Integration Patterns)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from langgraph_integration.error_details import describe_error, message_of
from langgraph_integration.errors import InvalidRequestError
from workflow_events.events import ResultStatus, WorkflowResultEvent
from workflow_events.wire import OutgoingMessage, correlation_id_in

if TYPE_CHECKING:
    from aiokafka.structs import ConsumerRecord

__all__ = ["answer_to_invalid", "dead_letter", "without_value"]

HEADER_REASON = "dead-letter-reason"
HEADER_TOPIC = "dead-letter-topic"
HEADER_PARTITION = "dead-letter-partition"
HEADER_OFFSET = "dead-letter-offset"
HEADER_TIMESTAMP = "dead-letter-timestamp"
HEADER_VALUE_LEFT_OUT = "dead-letter-value-left-out"

_UNKNOWN = "unknown"
_LONGEST_NAME = 1024


def dead_letter(record: ConsumerRecord, reason: str, *, topic: str) -> OutgoingMessage:
    """The message for the dead-letter topic: the original bytes, key and headers, and headers that say why and whence.

    Args:
        record: what cannot be processed.
        reason: a sentence; it holds no value of the message, which may be secret.
        topic: the dead-letter topic.
    """
    headers = [(name, value or b"") for name, value in record.headers]
    headers += [
        (HEADER_REASON, reason.encode(errors="replace")),
        (HEADER_TOPIC, record.topic.encode()),
        (HEADER_PARTITION, str(record.partition).encode()),
        (HEADER_OFFSET, str(record.offset).encode()),
        (HEADER_TIMESTAMP, str(record.timestamp).encode()),
    ]
    return OutgoingMessage(topic=topic, value=record.value or b"", key=record.key, headers=headers)


def without_value(letter: OutgoingMessage) -> OutgoingMessage:
    """A dead letter that is too large with its additional headers, without the value; its headers say where that is."""
    headers = [(name, value) for name, value in letter.headers if name.startswith("dead-letter-")]
    note = (HEADER_VALUE_LEFT_OUT, str(len(letter.value)).encode())
    return OutgoingMessage(topic=letter.topic, value=b"", key=None, headers=[*headers, note])


def answer_to_invalid(record: ConsumerRecord, reason: str) -> WorkflowResultEvent | None:
    """The ``error`` result for a message that is no valid request; None where not even its id can be read."""
    correlation_id = correlation_id_in(record.headers, record.value)
    if correlation_id is None:
        return None
    error = InvalidRequestError(reason)
    body = _body(record.value)
    return WorkflowResultEvent(
        correlation_id=correlation_id,
        workflow_id=_name(body.get("workflow_id")),
        workflow_run_id=_name(body.get("workflow_run_id")),
        status=ResultStatus.ERROR,
        error=message_of(error),
        error_detail=describe_error(error),
    )


def _body(value: bytes | None) -> dict[str, Any]:
    try:
        body = from_json(value or b"")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _name(found: object) -> str:
    return found if isinstance(found, str) and 0 < len(found) <= _LONGEST_NAME else _UNKNOWN

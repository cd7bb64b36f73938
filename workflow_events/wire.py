"""The one place that knows bytes, header names and keys.

Values are UTF-8 JSON. Headers follow the CloudEvents Kafka binding, binary mode (``ce_*`` and ``content-type``), preceded
by ``correlation-id``, so that a waiter finds it in its first look. A message without headers or key is as good as ours:
whoever reads falls back to the body.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from workflow_events import tracing
from workflow_events.errors import InvalidEventError
from workflow_events.events import PROTOCOL_VERSION, EventType, WorkflowEvent, WorkflowResultEvent
from workflow_events.validation import explain

__all__ = [
    "HEADER_CONTENT_TYPE",
    "HEADER_CORRELATION_ID",
    "HEADER_PROTOCOL_VERSION",
    "HEADER_REPLY_PARTITION",
    "HEADER_REPLY_TOPIC",
    "Headers",
    "Message",
    "OutgoingMessage",
    "ReturnAddress",
    "about_message",
    "correlation_id_in",
    "correlation_key",
    "correlation_keys",
    "decode_event",
    "decode_result",
    "encode",
    "event_message",
    "find_correlation_key",
    "lasting_headers",
    "matching",
    "plain_about_message",
    "plain_request_message",
    "request_message",
    "result_message",
    "return_address_in",
    "time_texts",
]

HEADER_CORRELATION_ID = "correlation-id"
HEADER_REPLY_TOPIC = "reply-topic"
HEADER_REPLY_PARTITION = "reply-partition"
HEADER_PROTOCOL_VERSION = "protocol-version"
HEADER_CONTENT_TYPE = "content-type"

_CONTENT_TYPE = b"application/json"
_CE_SPECVERSION = b"1.0"
_PROTOCOL_VERSION = PROTOCOL_VERSION.encode()
_ID_LENGTH = 36

Headers = Sequence[tuple[str, bytes | None]]
"""Headers as both clients give them; a name may stand there more than once, and the first counts."""


@dataclass(slots=True)
class OutgoingMessage:
    """A message as any Kafka client can send it. Not frozen: one is made for each request, and frozen takes 0.6 µs more.

    Attributes:
        partition: None lets the client's partitioner decide by key.
    """

    topic: str
    value: bytes
    key: bytes | None = None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    partition: int | None = None


class ReturnAddress(NamedTuple):
    """Where a requester wants its answer (pattern: Return Address, Enterprise Integration Patterns)."""

    topic: str
    partition: int | None = None


def correlation_key(correlation_id: UUID) -> bytes:
    """An id as it stands in the header and in look-up tables: 36 lower-case ASCII bytes."""
    return str(correlation_id).encode()


def time_texts(*times: datetime) -> list[bytes]:
    """Times as they stand in headers and, between quotes, in JSON. Two at once take little longer than one."""
    return to_json(times).split(b'"')[1::2]


def request_message(event: WorkflowEvent, *, topic: str, reply_to: ReturnAddress | None = None) -> OutgoingMessage:
    """A request, keyed by its thread so that one thread's requests meet in one partition and so in one worker."""
    lasting = lasting_headers(event.event_type, event.source)
    return plain_request_message(
        encode(event),
        topic=topic,
        lasting=lasting if reply_to is None else (*lasting, (HEADER_REPLY_TOPIC, reply_to.topic.encode())),
        time=time_texts(event.timestamp)[0],
        id_key=correlation_key(event.event_id),
        thread_id=event.thread_id,
        reply_partition=None if reply_to is None else reply_to.partition,
    )


def plain_request_message(
    value: bytes,
    *,
    topic: str,
    lasting: Iterable[tuple[str, bytes]],
    time: bytes,
    id_key: bytes,
    thread_id: str | None = None,
    reply_partition: int | None = None,
) -> OutgoingMessage:
    """As :func:`request_message`, of an event that has been written already.

    Args:
        value: the event, as :func:`encode` writes it.
        lasting: its :func:`lasting_headers`, and the topic of its return address.
        time: the event's, as :func:`time_texts` has it.
        id_key: the event's :func:`correlation_key`.
    """
    headers = [(HEADER_CORRELATION_ID, id_key), ("ce_id", id_key), ("ce_time", time), *lasting, *tracing.inject()]
    if reply_partition is not None:
        headers.append((HEADER_REPLY_PARTITION, str(reply_partition).encode()))
    return OutgoingMessage(topic, value, id_key if thread_id is None else thread_id.encode(), headers)


def about_message(event: WorkflowEvent, *, topic: str, correlation_id: UUID) -> OutgoingMessage:
    """An event about a request, such as progress or a cancel: keyed by the request's id; ``ce_id`` is the event's own."""
    key = correlation_key(correlation_id)
    headers = _headers(
        key, event.event_type, event.source, time_texts(event.timestamp)[0], event_id=correlation_key(event.event_id)
    )
    return OutgoingMessage(topic, encode(event), key, headers)


def plain_about_message(fields: dict[str, Any], *, topic: str, key: bytes) -> OutgoingMessage:
    """As :func:`about_message`, of an event that is made here by the thousand and need not be validated.

    Args:
        fields: those of a :class:`WorkflowEvent`, in its order, without what :func:`encode` leaves out; ``event_id`` as text.
        key: the request's :func:`correlation_key`.

    Raises:
        ValueError: a text has no UTF-8 form.
    """
    headers = _headers(
        key,
        fields["event_type"],
        fields["source"],
        time_texts(fields["timestamp"])[0],
        event_id=fields["event_id"].encode(),
    )
    return OutgoingMessage(topic, to_json(fields), key, headers)


def event_message(event: WorkflowEvent, *, topic: str) -> OutgoingMessage:
    """Any other event, keyed by its own id."""
    key = correlation_key(event.event_id)
    headers = _headers(key, event.event_type, event.source, time_texts(event.timestamp)[0])
    return OutgoingMessage(topic=topic, value=encode(event), key=key, headers=headers)


def result_message(
    result: WorkflowResultEvent, *, topic: str, partition: int | None = None, source: str = "langgraph"
) -> OutgoingMessage:
    """The answer to a request, keyed by its correlation id."""
    key = correlation_key(result.correlation_id)
    headers = _headers(key, EventType.WORKFLOW_RESULT, source, time_texts(result.timestamp)[0])
    return OutgoingMessage(topic=topic, value=encode(result), key=key, headers=headers, partition=partition)


def decode_event(value: bytes | None) -> WorkflowEvent:
    """A request or other event from a message's value.

    Raises:
        InvalidEventError: it is not one; the message names the fields, never their values.
    """
    return _decode(_EVENTS, WorkflowEvent.__name__, value)


def decode_result(value: bytes | None) -> WorkflowResultEvent:
    """A result from a message's value.

    Raises:
        InvalidEventError: it is not one; the message names the fields, never their values.
    """
    return _decode(_RESULTS, WorkflowResultEvent.__name__, value)


def find_correlation_key(headers: Headers, value: bytes | None) -> bytes | None:
    """The correlation key of a result, from its header; from its body only where the header is missing or no id.

    It never raises: bytes that are not a result have no key.
    """
    for name, header in headers:
        if name == HEADER_CORRELATION_ID:
            if header is not None and len(header) == _ID_LENGTH:
                return header.lower()
            break
    found = _id_in_body(value, "correlation_id")
    return None if found is None else correlation_key(found)


class Message(Protocol):
    """What every client's record has: headers and a value."""

    @property
    def headers(self) -> Headers:
        """Names and values, in order."""

    @property
    def value(self) -> bytes | None:
        """The body; None for a tombstone."""


_Message = TypeVar("_Message", bound=Message)


def matching(messages: Iterable[_Message], wanted: Container[bytes]) -> Iterator[tuple[_Message, bytes]]:
    """The messages whose correlation key is in ``wanted``, each with its key.

    What :func:`find_correlation_key` says of each message, in one loop. This is the hot path of every waiter, and most
    messages are strangers': our own, whose first header is the id, are told apart without a call.
    """
    for message in messages:
        headers = message.headers
        if headers:
            name, header = headers[0]
            if name == HEADER_CORRELATION_ID and header is not None and len(header) == _ID_LENGTH:
                key = header.lower()
                if key in wanted:
                    yield message, key
                continue
        found = find_correlation_key(headers, message.value)
        if found is not None and found in wanted:
            yield message, found


def correlation_keys(messages: Iterable[Message]) -> list[bytes | None]:
    """What :func:`find_correlation_key` says of each message, in one loop that takes our own without a call."""
    keys: list[bytes | None] = []
    for message in messages:
        headers = message.headers
        if headers:
            name, header = headers[0]
            if name == HEADER_CORRELATION_ID and header is not None and len(header) == _ID_LENGTH:
                keys.append(header.lower())
                continue
        keys.append(find_correlation_key(headers, message.value))
    return keys


def correlation_id_in(headers: Headers, value: bytes | None) -> UUID | None:
    """The id of a message that may be broken in every other way; None where it cannot be read.

    Looks at the header, then for ``correlation_id`` or ``event_id`` in the body. It serves dead letters: whoever waits
    for that id can be told.
    """
    for name, header in headers:
        if name == HEADER_CORRELATION_ID and header is not None:
            found = _parse_id(header)
            if found is not None:
                return found
    return _id_in_body(value, "correlation_id", "event_id")


def return_address_in(headers: Headers) -> ReturnAddress | None:
    """The return address of a request; None where it carries none that can be read."""
    topic: str | None = None
    partition: int | None = None
    for name, header in headers:
        if header is None:
            continue
        if name == HEADER_REPLY_TOPIC:
            topic = header.decode(errors="replace")
        elif name == HEADER_REPLY_PARTITION and header.isdigit():
            partition = int(header)
    return ReturnAddress(topic, partition) if topic else None


def _headers(
    key: bytes, event_type: str, source: str, time: bytes, *, event_id: bytes | None = None
) -> list[tuple[str, bytes]]:
    return [
        (HEADER_CORRELATION_ID, key),
        ("ce_id", event_id or key),
        ("ce_time", time),
        *lasting_headers(event_type, source),
        *tracing.inject(),
    ]


@lru_cache(maxsize=64)
def lasting_headers(event_type: str, source: str) -> tuple[tuple[str, bytes], ...]:
    """The headers that one message after the other has alike."""
    return (
        ("ce_source", f"/{source}".encode()),
        ("ce_type", event_type.encode()),
        ("ce_specversion", _CE_SPECVERSION),
        (HEADER_CONTENT_TYPE, _CONTENT_TYPE),
        (HEADER_PROTOCOL_VERSION, _PROTOCOL_VERSION),
    )


_EVENTS = TypeAdapter(WorkflowEvent)
_RESULTS = TypeAdapter(WorkflowResultEvent)

_OPTIONAL_EVENT_FIELDS = ("deadline", "thread_id", "claim_check")
_OPTIONAL_RESULT_FIELDS = tuple(
    name for name, info in WorkflowResultEvent.model_fields.items() if info.default is None and name != "error"
)


def encode(event: WorkflowEvent | WorkflowResultEvent) -> bytes:
    """An event as a message's value."""
    optional = _OPTIONAL_EVENT_FIELDS if isinstance(event, WorkflowEvent) else _OPTIONAL_RESULT_FIELDS
    # By the adapter's serializer: the model's own method makes text of the bytes, only for us to make bytes of it again.
    adapter: TypeAdapter[Any] = _EVENTS if isinstance(event, WorkflowEvent) else _RESULTS
    fields = event.__dict__
    return adapter.serializer.to_json(event, exclude={name for name in optional if fields[name] is None} or None)


_Model = TypeVar("_Model", bound=BaseModel)


def _decode(adapter: TypeAdapter[_Model], name: str, value: bytes | None) -> _Model:
    if not value:
        raise InvalidEventError(f"An empty message is no {name}.")
    try:
        return adapter.validator.validate_json(value)  # type: ignore[no-any-return]  # pydantic-core is untyped here
    except ValidationError as error:
        # The cause holds the input, which may be secret: it is left out on purpose.
        raise InvalidEventError(f"Not a valid {name} ({len(value)} bytes): {explain(error)}.") from None


def _id_in_body(value: bytes | None, *names: str) -> UUID | None:
    if not value:
        return None
    try:
        body = from_json(value)
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    for name in names:
        found = _parse_id(body.get(name))
        if found is not None:
            return found
    return None


def _parse_id(text: object) -> UUID | None:
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    if not isinstance(text, str):
        return None
    try:
        return UUID(text)
    except ValueError:
        return None

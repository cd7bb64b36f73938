"""Who may speak: signatures over messages, for clusters where more people may write than may give orders.

A message is signed with HMAC-SHA256 (RFC 2104) over what makes it this message: correlation id, attempt, type, return address
and body. So nobody without a key can make a message, nor turn a real one into another: answer a second request with it, pass an
old attempt's failure for a new one's, have it taken for another type, or have the answer sent elsewhere. The key id in a header
of its own lets keys be changed while messages signed with the old one are still under way (as JWS has ``kid``, RFC 7515).

It does not hide anything, and does not stop an exact copy: a copy of a request is the same request, whose work is done once, and
a copy of a result is the same result, which is delivered once.

Pure, but for the count and the log of what was refused. Where no keys are set there are no :class:`Signatures`, and nothing is
spent.
"""

from __future__ import annotations

import hmac
import logging
from collections import Counter
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from pydantic_core import from_json

from workflow_events.events import REQUESTS
from workflow_events.signing_keys import parse_keys
from workflow_events.wire import HEADER_CORRELATION_ID, HEADER_REPLY_PARTITION, HEADER_REPLY_TOPIC

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workflow_events.settings import KafkaSettings
    from workflow_events.wire import Headers, Message, OutgoingMessage

__all__ = [
    "CONTROL_TYPES",
    "HEADER_ATTEMPT",
    "HEADER_SIGNATURE",
    "HEADER_SIGNATURE_KEY_ID",
    "PROGRESS_TYPES",
    "REQUEST_TYPES",
    "RESULT_TYPES",
    "Authenticity",
    "Signatures",
    "authenticity",
    "canonical",
    "is_signed",
    "signature",
]

logger = logging.getLogger(__name__)

HEADER_ATTEMPT: Final = "attempt"
HEADER_SIGNATURE: Final = "signature"
HEADER_SIGNATURE_KEY_ID: Final = "signature-key-id"
HEADER_TYPE: Final = "ce_type"

REQUEST_TYPES: Final = frozenset(kind.value.encode() for kind in REQUESTS)
RESULT_TYPES: Final = frozenset({b"workflow.result"})
CONTROL_TYPES: Final = frozenset({b"workflow.cancel"})
PROGRESS_TYPES: Final = frozenset({b"workflow.accepted", b"workflow.progress", b"workflow.heartbeat"})

_SCHEME: Final = "v1="
_DOMAIN: Final = b"workflow-events/v1"
"""Keeps a signature made here from holding anywhere else that the same key may be used (domain separation)."""
_SIGNED_HEADERS: Final = (
    HEADER_CORRELATION_ID,
    HEADER_ATTEMPT,
    HEADER_TYPE,
    HEADER_REPLY_TOPIC,
    HEADER_REPLY_PARTITION,
)
_ALL_HEADERS: Final = frozenset((*_SIGNED_HEADERS, HEADER_SIGNATURE, HEADER_SIGNATURE_KEY_ID))


class Authenticity(Enum):
    """What a message's signature says."""

    GENUINE = "genuine"
    UNSIGNED = "unsigned"
    UNKNOWN_KEY = "signed with a key that is not among ours"
    WRONG = "wrongly signed"
    AMBIGUOUS = "signed, and with a header twice"
    MISPLACED = "genuine, and of a type that does not belong on this topic"


def canonical(headers: Mapping[str, bytes], body: bytes) -> bytes:
    """The bytes that are signed: each part behind its length in 8 bytes, big-endian, so that no two messages share them.

    The parts: the text ``workflow-events/v1``; the headers ``correlation-id``, ``attempt``, ``ce_type``, ``reply-topic`` and
    ``reply-partition``, empty where missing; the body.
    """
    parts = [_DOMAIN, *(headers.get(name, b"") for name in _SIGNED_HEADERS), body]
    return b"".join([length for part in parts for length in (len(part).to_bytes(8, "big"), part)])


def signature(key: bytes, headers: Mapping[str, bytes], body: bytes) -> bytes:
    """The value of the header ``signature``: ``v1=`` and 64 hexadecimal digits, ASCII."""
    return f"{_SCHEME}{hmac.digest(key, canonical(headers, body), 'sha256').hex()}".encode()


def authenticity(keys: Mapping[str, bytes], headers: Headers, body: bytes | None) -> Authenticity:
    """What the signature of a message says; whether its type belongs where it was found is for the caller to ask."""
    found: dict[str, bytes] = {}
    for name, value in headers:
        if name not in _ALL_HEADERS:
            continue
        if name in found:
            # The readers take the first of two; whoever checks must not have looked at another than they.
            return Authenticity.AMBIGUOUS
        found[name] = value or b""
    given = found.get(HEADER_SIGNATURE)
    if not given:
        return Authenticity.UNSIGNED
    key = keys.get(found.get(HEADER_SIGNATURE_KEY_ID, b"").decode(errors="replace"))
    if key is None:
        return Authenticity.UNKNOWN_KEY
    genuine = hmac.compare_digest(given, signature(key, found, body or b""))
    return Authenticity.GENUINE if genuine else Authenticity.WRONG


def is_signed(message: OutgoingMessage) -> bool:
    """Whether a message has a signature, of whatever worth: one that is published again, such as a dead letter's original."""
    return any(name == HEADER_SIGNATURE for name, _ in message.headers)


class Signatures:
    """Signs what goes out and checks what comes in.

    Args:
        keys: secret keys by id; the first signs, all verify.

    Attributes:
        refused: how many messages were not admitted, by the reason's name.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)
        self._signing_id, self._signing_key = next(iter(self._keys.items()))
        self.refused: Counter[str] = Counter()

    @classmethod
    def of(cls, settings: KafkaSettings) -> Signatures | None:
        """Those of the settings' keys; None where none are set, and then everything is taken as it comes."""
        if settings.signing_keys is None:
            return None
        return cls(parse_keys(settings.signing_keys.get_secret_value()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(signing with {self._signing_id!r}, verifying {sorted(self._keys)})"

    def sign(self, message: OutgoingMessage) -> OutgoingMessage:
        """The same message with its signature in its headers.

        A message that is signed already stays as it is, and so does one that is no event (it has no ``ce_type``).
        """
        headers = dict(reversed(message.headers))
        if is_signed(message) or HEADER_TYPE not in headers:
            return message
        headers[HEADER_ATTEMPT] = _attempt_in(message.value)
        added = [
            (HEADER_ATTEMPT, headers[HEADER_ATTEMPT]),
            (HEADER_SIGNATURE_KEY_ID, self._signing_id.encode()),
            (HEADER_SIGNATURE, signature(self._signing_key, headers, message.value)),
        ]
        return replace(message, headers=[*message.headers, *added])

    def admits(self, message: Message, types: frozenset[bytes] | None = None, *, topic: str = "") -> bool:
        """Whether a message is genuine. One that is not is counted, and logged without anything it holds.

        Args:
            types: those that belong on the topic; None: any. It keeps a genuine message of one topic from being copied to
                another.
            topic: for the log.
        """
        found = authenticity(self._keys, message.headers, message.value)
        if found is Authenticity.GENUINE and types is not None and _type_of(message.headers) not in types:
            found = Authenticity.MISPLACED
        if found is Authenticity.GENUINE:
            return True
        self._refuse(found, topic)
        return False

    def _refuse(self, reason: Authenticity, topic: str) -> None:
        self.refused[reason.name.lower()] += 1
        count = self.refused.total()
        # At the 1st, 2nd, 4th, 8th ...: forging is seen, and a flood of it does not become a flood of the log.
        seldom = count & (count - 1) == 0
        logger.log(
            logging.WARNING if seldom else logging.DEBUG,
            "Ignored a message on topic %r: %s (%d ignored so far). If it was one of ours, give its sender a key of "
            "KAFKA_SIGNING_KEYS.",
            topic,
            reason.value,
            count,
        )


def _type_of(headers: Headers) -> bytes | None:
    return next((value for name, value in headers if name == HEADER_TYPE), None)


def _attempt_in(body: bytes) -> bytes:
    """The attempt that a body names, as it stands in the header; empty where it names none."""
    try:
        found = from_json(body)
    except ValueError:
        return b""
    attempt = found.get("attempt") if isinstance(found, dict) else None
    return b"" if attempt is None else str(attempt).encode()

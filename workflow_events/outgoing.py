"""What is done to every message on its way out, where it is asked for: large payloads are put away, then it is signed.

In that order, so that the signature covers the reference and with its digest the payload (pattern: Envelope Wrapper, Enterprise
Integration Patterns; Kafka's own clients have interceptors for it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflow_events.payloads import Payloads
from workflow_events.signing import Signatures, is_signed

if TYPE_CHECKING:
    from workflow_events.settings import KafkaSettings
    from workflow_events.wire import OutgoingMessage

__all__ = ["Outgoing"]

_DEAD_LETTER = "dead-letter-reason"


class Outgoing:
    """Makes messages ready to be published. A message that is ready stays as it is, so it may be tried again.

    Args:
        payloads: where large payloads go; None: nowhere.
        signatures: None: nothing is signed.
    """

    def __init__(self, payloads: Payloads | None, signatures: Signatures | None) -> None:
        self._payloads = payloads
        self._signatures = signatures

    @classmethod
    def of(cls, settings: KafkaSettings) -> Outgoing | None:
        """What the settings ask for; None where that is nothing."""
        if settings.claim_check_store is None and settings.signing_keys is None:
            return None
        payloads = None if settings.claim_check_store is None else Payloads(settings)
        return cls(payloads, Signatures.of(settings))

    def ready(self, message: OutgoingMessage) -> OutgoingMessage:
        """The message as it is to be published.

        Raises:
            MessageTooLargeError, TransportError, ConfigurationError: as :meth:`Payloads.put` does.
        """
        if _is_final(message):
            return message
        return self._signed(message if self._payloads is None else self._payloads.put(message))

    async def aready(self, message: OutgoingMessage) -> OutgoingMessage:
        """As :meth:`ready`, in an event loop."""
        if _is_final(message):
            return message
        return self._signed(message if self._payloads is None else await self._payloads.aput(message))

    def _signed(self, message: OutgoingMessage) -> OutgoingMessage:
        return message if self._signatures is None else self._signatures.sign(message)


def _is_final(message: OutgoingMessage) -> bool:
    """Whether a message goes as it is: it was made ready before, or it is a dead letter, which is somebody else's word."""
    return is_signed(message) or any(name == _DEAD_LETTER for name, _ in message.headers)

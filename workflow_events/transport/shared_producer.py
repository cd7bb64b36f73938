"""One kafka-python producer for the threads of a process: connected when first used, and anew after a fork or a lasting fault."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from workflow_events.errors import AccessDeniedError, BrokerUnavailableError, TransportError
from workflow_events.retry import transport_retrying
from workflow_events.transport import blocking
from workflow_events.transport.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workflow_events.settings import KafkaSettings
    from workflow_events.wire import OutgoingMessage

__all__ = ["SharedProducer"]


class SharedProducer:
    """Publishes for any number of threads."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._producer: blocking.Producer | None = None
        self._process = os.getpid()

    def publish(self, messages: Sequence[OutgoingMessage], timeout: float) -> None:
        """Publish messages and wait until all in-sync replicas have all of them.

        What may pass is tried again until ``timeout`` seconds are over: connecting, and the publish of one message. Of many
        each is tried again by the client itself.

        Raises:
            TransportError: for the first that could not be published; any of the others may have been.
        """
        watch = Stopwatch(timeout)
        producer = self._connected(watch)
        try:
            if len(messages) != 1:
                blocking.send_all(producer, messages, watch.remaining())
                return
            for attempt in transport_retrying(watch.remaining()):
                with attempt:
                    blocking.send(producer, messages[0], watch.remaining())
        except TransportError as error:
            if type(error) in (TransportError, AccessDeniedError):
                self._drop(producer)  # kafka-python keeps such a fault, and would repeat it for every message to come
            raise

    def flush(self, timeout: float) -> None:
        """Wait for messages that were given up on and may still be under way.

        Raises:
            DeliveryError: some still were after ``timeout`` seconds.
        """
        with self._lock:
            producer = self._producer
        if producer is not None:
            blocking.flush(producer, timeout)

    def close(self, timeout: float) -> None:
        """Deliver what is under way, for ``timeout`` seconds at most, and disconnect; the next publish connects anew."""
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None and self._process == os.getpid():
            producer.close(timeout=timeout)

    def _connected(self, watch: Stopwatch) -> blocking.Producer:
        if self._process != os.getpid():
            # The fork has the sockets, but not the thread that served them. They are the parent's to close.
            self._producer, self._process, self._lock = None, os.getpid(), threading.Lock()
        if not self._lock.acquire(timeout=watch.remaining()):
            raise BrokerUnavailableError(
                f"Cannot connect at {self._settings.bootstrap_servers} in time: another thread is still trying to."
            )
        try:
            if self._producer is None:
                self._producer = blocking.new_producer(self._settings, connect_timeout=watch.remaining())
            return self._producer
        finally:
            self._lock.release()

    def _drop(self, producer: blocking.Producer) -> None:
        with self._lock:
            if self._producer is producer:
                self._producer = None
        producer.close(timeout=0)

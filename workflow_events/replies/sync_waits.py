"""What a thread waits with: the readers by topic and partition, the requests' clocks, and payloads from their store."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from workflow_events.errors import InvalidEventError
from workflow_events.payloads import Payloads
from workflow_events.replies.sync_reader import POLL_SECONDS, SyncReplyReader
from workflow_events.replies.sync_scatter import collect_replies

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workflow_events.events import WorkflowEvent, WorkflowResultEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.progress.listening import LoopThread
    from workflow_events.replies.gathering import Gathering
    from workflow_events.settings import KafkaSettings

__all__ = ["SyncWaits"]


class SyncWaits:
    """Waits for any number of threads. Connects when first used.

    Args:
        settings: the cluster.
        poll_interval: the longest that a reader goes without asking the broker, in seconds.
    """

    def __init__(self, settings: KafkaSettings, *, poll_interval: float = POLL_SECONDS) -> None:
        self._settings = settings
        self._poll_interval = poll_interval
        self._payloads = Payloads(settings)
        self._lock = threading.Lock()
        self._listening: LoopThread | None = None
        self._readers: dict[tuple[str, int | None], SyncReplyReader] = {}

    def close(self) -> None:
        """Close the connections and forget what was read; the next wait connects anew."""
        with self._lock:
            readers, self._readers = list(self._readers.values()), {}
        for reader in readers:
            reader.close()

    def reader(self, topic: str, partition: int | None = None) -> SyncReplyReader:
        """The reader of a topic, or of one partition of it."""
        with self._lock:
            found = self._readers.get((topic, partition))
            if found is None:
                found = self._readers[topic, partition] = SyncReplyReader(
                    self._settings, topic, partition=partition, poll_interval=self._poll_interval
                )
            return found

    def wait(
        self, pending: PendingRequest, on_progress: Callable[[WorkflowEvent], None] | None = None
    ) -> WorkflowResultEvent:
        """The result of a request.

        Args:
            on_progress: called in this thread with each event of the run, from its begin on.

        Raises:
            ResultTimeoutError: none by the request's deadline.
            NotAcceptedError, WorkerSilentError: a clock of the request ran out.
            TransportError: the broker refuses, or the topic does not exist.
            ClaimCheckError: the result is kept in a store, and cannot be had from there.
        """
        reader = self.reader(pending.reply_topic, pending.reply_partition)
        if on_progress is None and not pending.clocked:
            return self._payloads.take(reader.wait(pending).event)
        from workflow_events.progress.sync_waiting import wait_listening  # noqa: PLC0415 - few listen

        return self._payloads.take(wait_listening(reader, pending, self._thread(), on_progress).event)

    def wait_many(
        self,
        requests: Sequence[PendingRequest],
        gathering: Gathering,
        *,
        return_partial_on_timeout: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[WorkflowResultEvent | None]:
        """The results of many requests, in one pass over their reply topic; None for those that were not waited for.

        Args:
            requests: at least one, with one reply topic for all.
            gathering: says when there are enough.
            return_partial_on_timeout: what has come by the deadline is returned instead of an error.
            on_progress: called with how many have answered, and of how many, whenever one has.

        Raises:
            InvalidEventError: the requests have several reply topics.
            GatherTimeoutError: too few answers by the latest deadline; its cause is the clock that ran out, if it was one.
            TransportError: the broker refuses, or the topic does not exist.
        """
        reader = self._reader_for(requests)
        ran_out = None
        if any(request.clocked for request in requests):
            from workflow_events.progress.sync_waiting import collect_listening  # noqa: PLC0415 - few have clocks

            ran_out = collect_listening(gathering, reader, requests, self._thread(), on_progress)
        else:
            collect_replies(gathering, reader, requests, on_progress)
        if not gathering.done and not return_partial_on_timeout:
            read = reader.progress()
            raise gathering.timed_out(requests, read_to=read.read_to, cause=read.cause, store=read.store) from ran_out
        return self._payloads.take_each(gathering.events)

    def _reader_for(self, requests: Sequence[PendingRequest]) -> SyncReplyReader:
        """The reader of all partitions in which these are answered."""
        topics = {request.reply_topic for request in requests}
        if len(topics) > 1:
            raise InvalidEventError(
                f"The requests are answered on several topics ({', '.join(sorted(topics))}); wait for each topic's by "
                "themselves."
            )
        partitions = {request.reply_partition for request in requests}
        return self.reader(topics.pop(), partitions.pop() if len(partitions) == 1 else None)

    def _thread(self) -> LoopThread:
        from workflow_events.progress.listening import LoopThread  # noqa: PLC0415 - few listen

        with self._lock:
            self._listening = self._listening or LoopThread()
            return self._listening

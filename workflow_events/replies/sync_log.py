"""A topic's log through kafka-python, in terms of cursors. One thread at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka import TopicPartition
from tenacity import Retrying, retry_if_result, stop_before_delay, wait_fixed

from workflow_events.errors import TopicNotFoundError
from workflow_events.replies.cursor import from_times
from workflow_events.transport import blocking
from workflow_events.transport.timing import TOPIC_PATIENCE, TOPIC_POLL

if TYPE_CHECKING:
    from kafka import KafkaConsumer

    from workflow_events.replies.cursor import Cursor
    from workflow_events.replies.records import Record
    from workflow_events.settings import KafkaSettings

__all__ = ["SyncLog"]

_METADATA_MAX_AGE_MS = 10_000
"""How long a partition that is added to the reply topic may go unseen."""
_FETCH_MAX_WAIT_MS = 100
"""How long a broker holds an empty fetch; what was asked before a seek must come back before the next one goes out."""
_MAX_RECORDS = 1000


class SyncLog:
    """A consumer of one topic that connects when first used. Seconds are time-outs.

    Args:
        partition: read this one alone; all where None.

    Every method raises ``TransportError`` where the broker cannot be asked or refuses.
    """

    def __init__(self, settings: KafkaSettings, topic: str, partition: int | None = None) -> None:
        self.settings = settings
        self.topic = topic
        self.partition = partition
        self._consumer: KafkaConsumer | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a consumer."""
        return self._consumer is not None

    def connect(self, seconds: float) -> KafkaConsumer:
        """The consumer, made now if there is none."""
        if self._consumer is None:
            consumer = blocking.new_consumer(
                self.settings,
                bootstrap_timeout_ms=self._ms(min(seconds, self.settings.connect_timeout)),
                metadata_max_age_ms=_METADATA_MAX_AGE_MS,
                fetch_max_wait_ms=_FETCH_MAX_WAIT_MS,
            )
            if not _patiently(min(TOPIC_PATIENCE, seconds))(consumer.partitions_for_topic, self.topic):
                try:
                    blocking.check_readable(self.settings, consumer, self.topic, seconds)
                finally:
                    consumer.close()
                raise TopicNotFoundError(
                    f"Topic {self.topic!r} does not exist at {self.settings.bootstrap_servers}. Create it with "
                    "`workflow-events topics create`, or check the topic's name."
                )
            self._consumer = consumer
        return self._consumer

    def disconnect(self) -> None:
        """Drop the consumer, without waiting for anything."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close(autocommit=False, timeout_ms=0)

    def partitions(self, seconds: float) -> list[int]:
        """The partitions to read, as far as the client knows of them."""
        known = self.connect(seconds).partitions_for_topic(self.topic) or set()
        return sorted(known if self.partition is None else known & {self.partition})

    def beginning(self, seconds: float) -> dict[int, int]:
        """The first offset that is left in each partition."""
        consumer = self.connect(seconds)
        with blocking.map_errors(self.settings, "read the first offsets", topic=self.topic):
            found = consumer.beginning_offsets(self._all(seconds), timeout_ms=self._ms(seconds))
        return {tp.partition: offset for tp, offset in found.items()}

    def end(self, seconds: float) -> dict[int, int]:
        """The offset that the next record will have in each partition; open transactions are not counted in."""
        consumer = self.connect(seconds)
        with blocking.map_errors(self.settings, "read the end offsets", topic=self.topic):
            found = consumer.end_offsets(self._all(seconds), timeout_ms=self._ms(seconds))
        return {tp.partition: offset for tp, offset in found.items()}

    def at_time(self, milliseconds: int, seconds: float) -> dict[int, int]:
        """A cursor that misses nothing stored at or after a time (Unix milliseconds)."""
        # The end first: what is stored between the questions lies behind the cursor, not before it.
        last = self.end(seconds)
        first = self.beginning(seconds)
        consumer = self.connect(seconds)
        with blocking.map_errors(self.settings, "look up by time", topic=self.topic):
            found = consumer.offsets_for_times(
                dict.fromkeys(self._all(seconds), milliseconds), timeout_ms=self._ms(seconds)
            )
        times = {tp.partition: (at.offset, at.timestamp) if at else None for tp, at in found.items()}
        return from_times(times, first, last)

    def read_from(self, cursor: Cursor, seconds: float) -> None:
        """Have the next :meth:`poll` begin at a cursor, in the partitions that it names."""
        consumer = self.connect(seconds)
        consumer.assign([self._tp(partition) for partition in cursor])
        for partition, offset in cursor.items():
            consumer.seek(self._tp(partition), offset)

    def poll(self, seconds: float) -> dict[int, list[Record]]:
        """The next records by partition, as soon as there are any; empty when none came in time."""
        consumer = self.connect(seconds)
        with blocking.map_errors(self.settings, "read", topic=self.topic):
            batches = consumer.poll(timeout_ms=self._ms(seconds), max_records=_MAX_RECORDS)
        return {tp.partition: records for tp, records in batches.items()}

    def trouble(self) -> str | None:
        """Why nothing comes, where no broker is connected; None where one is. Asks nobody."""
        return None if self._consumer is None else blocking.outage(self.settings, self._consumer, self.topic)

    def position(self, partitions: Cursor, seconds: float) -> dict[int, int]:
        """How far the client is, beyond what no record shows: transaction markers and aborted batches."""
        consumer = self.connect(seconds)
        with blocking.map_errors(self.settings, "read the position", topic=self.topic):
            return {
                partition: consumer.position(self._tp(partition), timeout_ms=self._ms(seconds)) or 0
                for partition in partitions
            }

    def rewound(self, positions: Cursor) -> list[int]:
        """The partitions whose log does not reach to ``positions`` any more, as far as the client knows; asks nobody.

        Where a broker refuses an offset beyond the log's end the client has gone back; where it does not, the last fetch told
        of an end before it.
        """
        if self._consumer is None:
            return []
        found = []
        with blocking.map_errors(self.settings, "read the position", topic=self.topic):
            for tp in self._consumer.assignment():
                reaches = (self._consumer.position(tp, timeout_ms=0), self._consumer.highwater(tp))
                if any(offset is not None and offset < positions.get(tp.partition, 0) for offset in reaches):
                    found.append(tp.partition)
        return found

    def _all(self, seconds: float) -> list[TopicPartition]:
        return [self._tp(partition) for partition in self.partitions(seconds)]

    def _tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self.topic, partition)

    def _ms(self, seconds: float) -> int:
        return max(1, int(min(seconds, self.settings.request_timeout) * 1000))


def _patiently(seconds: float) -> Retrying:
    """Asks again while the answer is empty: a topic that was made a moment ago is not known to every broker at once."""
    return Retrying(
        retry=retry_if_result(lambda found: not found),
        stop=stop_before_delay(seconds),
        wait=wait_fixed(TOPIC_POLL),
        retry_error_callback=lambda _: None,
    )

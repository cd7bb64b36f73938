"""Fills topics with results, quickly: by librdkafka, in a client that knows nothing of the SDK's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import UUID, uuid4

from confluent_kafka import Producer

from workflow_events import KafkaSettings, WorkflowResultEvent, wire

__all__ = ["fill", "results", "seal"]

_POLL_EVERY = 1_000
_BODY_BYTES = 500


def results(count: int, ids: Iterable[UUID] = ()) -> Iterator[wire.OutgoingMessage]:
    """``count`` results of about 500 bytes: these ids' spread evenly, the last at the end, among strangers'."""
    given = list(ids)
    step = count // len(given) if given else count + 1
    for number in range(1, count + 1):
        mine = given[number // step - 1] if number % step == 0 and number // step <= len(given) else uuid4()
        result = WorkflowResultEvent(
            correlation_id=mine,
            workflow_id="bench",
            workflow_run_id="bench",
            result={"text": "x" * (_BODY_BYTES - 190)},
        )
        yield wire.result_message(result, topic="")


def fill(settings: KafkaSettings, messages: Iterable[wire.OutgoingMessage]) -> int:
    """Publish the messages to the result topic; how many they were."""
    producer = Producer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "linger.ms": 50,
            "queue.buffering.max.messages": 1_000_000,
            "message.timeout.ms": 120_000,
        }
    )
    count = 0
    for count, message in enumerate(messages, start=1):
        # -1: by its key
        partition = -1 if message.partition is None else message.partition
        producer.produce(
            settings.workflow_results_topic, message.value, message.key, partition, headers=[*message.headers]
        )
        if count % _POLL_EVERY == 0:
            producer.poll(0)
            if len(producer) > 500_000:
                producer.flush()
    left = producer.flush(300)
    assert left == 0, f"{left} messages were not stored"
    return count


def seal(settings: KafkaSettings) -> None:
    """Put one stranger at the end of every partition, in a batch of its own.

    The embedded broker tells as the end of a partition where its last batch *begins*, and one more; who reads up to there
    misses the rest of the batch. Of a batch with one record that is the end.
    """
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers})
    for partition, message in enumerate(results(settings.topic_partitions)):
        topic = settings.workflow_results_topic
        producer.produce(topic, message.value, message.key, partition, headers=[*message.headers])
    assert producer.flush(60) == 0

"""Our partitioner says what those of both clients say, for every key."""

from __future__ import annotations

from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as by_aiokafka
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as by_kafka_python

from workflow_events.identifiers import new_event_id
from workflow_events.transport.partitioning import murmur2, partition_of
from workflow_events.wire import correlation_key

_UNSIGNED = 0xFFFFFFFF


@given(key=st.binary(max_size=200))
def test_a_keys_hash_is_that_of_both_clients(key: bytes) -> None:
    assert murmur2(key) == by_aiokafka(key) & _UNSIGNED == by_kafka_python(key) & _UNSIGNED


@given(key=st.binary(max_size=60), partitions=st.integers(min_value=1, max_value=100))
def test_a_keys_partition_is_that_of_aiokafkas_partitioner(key: bytes, partitions: int) -> None:
    numbers = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, numbers, numbers)


def test_known_keys_hash_as_the_java_client_has_them() -> None:
    # The values of org.apache.kafka.common.utils.UtilsTest.
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536, b"abc": 479470107}
    for key, signed in known.items():
        assert murmur2(key) == signed & _UNSIGNED


def test_ids_spread_over_the_partitions() -> None:
    parts = [partition_of(correlation_key(new_event_id()), 6) for _ in range(6_000)]
    assert all(800 < parts.count(number) < 1_200 for number in range(6))

"""Offsets in a transaction, fenced by the consumer group (KIP-447).

aiokafka sends them without the group's generation, so a broker takes them also from a worker that its group has long replaced.
Version 3 of the request carries generation and member, and a broker refuses those that it has gone on without.
https://kafka.apache.org/protocol#The_Messages_TxnOffsetCommit
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.errors import for_code
from aiokafka.producer.sender import TxnOffsetCommitHandler
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, TopicPartition
    from aiokafka.structs import OffsetAndMetadata

__all__ = ["FENCED", "FencedOffsets"]

FENCED = frozenset({22, 25, 27, 82})
"""ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS, FENCED_INSTANCE_ID."""

_TEXT = CompactString("utf-8")


class _TxnOffsetCommitResponse_v3(Response):  # type: ignore[misc]  # noqa: N801 - aiokafka's way of naming
    API_KEY = 28
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "errors",
            CompactArray(
                ("topic", _TEXT),
                (
                    "partition_errors",
                    CompactArray(("partition", Int32), ("error_code", Int16), ("tags", TaggedFields)),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _TxnOffsetCommitRequest_v3(RequestStruct):  # type: ignore[misc]  # noqa: N801
    API_KEY = 28
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _TxnOffsetCommitResponse_v3
    SCHEMA = Schema(
        ("transactional_id", _TEXT),
        ("group_id", _TEXT),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("generation_id", Int32),
        ("member_id", _TEXT),
        ("group_instance_id", _TEXT),
        (
            "topics",
            CompactArray(
                ("topic", _TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", _TEXT),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _TxnOffsetCommitRequest(Request[_TxnOffsetCommitRequest_v3]):  # type: ignore[misc]
    API_KEY = 28

    def __init__(self, *fields: Any) -> None:
        self._fields = fields

    def build(self, request_struct_class: type[_TxnOffsetCommitRequest_v3]) -> _TxnOffsetCommitRequest_v3:
        return request_struct_class(*self._fields)


class FencedOffsets(TxnOffsetCommitHandler):  # type: ignore[misc]
    """One request with offsets, of a member of the group.

    Args:
        sender: aiokafka's, of the transactional producer.
        offsets: what to commit; aiokafka takes out of it what is confirmed.
        consumer: the member.
    """

    def __init__(
        self, sender: Any, offsets: dict[TopicPartition, OffsetAndMetadata], consumer: AIOKafkaConsumer
    ) -> None:
        self._coordinator = consumer._coordinator  # noqa: SLF001
        super().__init__(sender, offsets, self._coordinator.group_id)

    def create_request(self) -> _TxnOffsetCommitRequest:
        """Aiokafka's: the request."""
        transaction, member = self._sender._txn_manager, self._coordinator  # noqa: SLF001
        topics: dict[str, list[tuple[Any, ...]]] = {}
        for partition, one in sorted(self._offsets.items()):
            topics.setdefault(partition.topic, []).append((partition.partition, one.offset, -1, one.metadata, {}))
        return _TxnOffsetCommitRequest(
            transaction.transactional_id,
            self._group_id,
            transaction.producer_id,
            transaction.producer_epoch,
            member.generation,
            member.member_id,
            None,
            [(topic, partitions, {}) for topic, partitions in topics.items()],
            {},
        )

    def handle_response(self, resp: Any) -> float | None:
        """Aiokafka's: what the broker says. A fenced member's transaction can only be aborted."""
        resp.errors = [(topic, [one[:2] for one in partitions]) for topic, partitions, _ in resp.errors]
        for _, partitions in resp.errors:
            for _, code in partitions:
                if code in FENCED:
                    self._sender._txn_manager.error_transaction(for_code(code)())  # noqa: SLF001
                    return None
        backoff: float | None = super().handle_response(resp)
        return backoff

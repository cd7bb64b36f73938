"""How much is stored together, and how far that is."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from result_store import batches
from result_store.batches import Batch
from result_store.facts import ResultFact
from result_store.ranks import request_rank, result_rank
from workflow_events import ResultStatus, WorkflowEvent, WorkflowResultEvent
from workflow_events.events import ClaimCheck

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CHECK = ClaimCheck(sha256="0" * 64, size=1000, expires_at=NOW)


@dataclasses.dataclass
class Stored:
    offset: int = 0
    value: bytes | None = b"1234567890"
    headers: list[tuple[str, bytes | None]] = dataclasses.field(default_factory=list)
    key: bytes | None = None
    topic: str = "topic"
    partition: int = 0
    timestamp: int = 0


def result(**fields: Any) -> WorkflowResultEvent:
    given: dict[str, Any] = {"correlation_id": uuid4(), "workflow_id": "w", "workflow_run_id": "r", "timestamp": NOW}
    return WorkflowResultEvent(**{**given, **fields})


def fact(**fields: Any) -> ResultFact:
    return ResultFact(result(**fields), b"")


def test_a_batch_is_full_at_its_number_of_messages_also_those_that_say_nothing() -> None:
    batch: Batch[str] = Batch(3)
    batch.add("a", Stored(5), fact(), now=1.0)
    batch.add("b", Stored(7), None, now=2.0)
    assert (len(batch), batch.room, len(batch.taken)) == (2, 1, 1)
    batch.add("a", Stored(6), fact(), now=3.0)
    assert batch.room == 0
    assert (batch.starts, batch.ends) == ({"a": 5, "b": 7}, {"a": 7, "b": 8})
    assert batch.kinds == {("topic", "result"): 2, ("topic", "other"): 1}


def test_a_batch_is_full_at_its_bytes_and_a_payload_that_will_be_fetched_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "MOST_BYTES", 1000)
    batch: Batch[str] = Batch(100)
    batch.add("a", Stored(), fact(), now=0.0)
    assert batch.room == 99
    batch.add("a", Stored(1), fact(claim_check=CHECK), now=0.0)
    assert batch.room == 0


def test_a_batch_is_due_once_its_first_message_has_waited() -> None:
    batch: Batch[str] = Batch(10)
    assert not batch.is_due(1000.0, 1.0)
    batch.add("a", Stored(), None, now=5.0)
    batch.add("a", Stored(1), None, now=5.9)
    assert not batch.is_due(5.9, 1.0)
    assert batch.is_due(6.0, 1.0)


def test_the_end_of_a_partition_passes_what_is_no_message_and_never_goes_back() -> None:
    batch: Batch[str] = Batch(10)
    batch.add("a", Stored(4), None, now=0.0)
    batch.reach("a", 6)
    batch.reach("a", 2)
    batch.reach("a", None)
    batch.reach("b", 9)
    assert batch.ends == {"a": 6}


@pytest.mark.parametrize("status", list(ResultStatus))
def test_a_payload_that_could_be_had_counts_before_the_same_message_without_it_and_nothing_else_changes(
    status: ResultStatus,
) -> None:
    whole, bare = result(status=status), result(status=status, claim_check=CHECK)
    for raw in (b"a", b"b", b"c", b"d"):
        assert result_rank(whole, NOW, raw) > max(result_rank(bare, NOW, other) for other in (b"a", b"b", b"c", b"d"))
        assert result_rank(bare, NOW + timedelta(microseconds=1), raw) > result_rank(whole, NOW, raw)
    asked: dict[str, Any] = {"event_type": "workflow.triggered", "source": "airflow", "timestamp": NOW}
    request = WorkflowEvent(**asked, workflow_id="w", workflow_run_id="r")
    without = request.model_copy(update={"claim_check": CHECK})
    assert request_rank(request, NOW, b"a") > request_rank(without, NOW, b"b")
    assert len(request_rank(request, NOW, b"a")) == len(request_rank(without, NOW, b"a")) == 41

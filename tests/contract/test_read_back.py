"""Results by their places in the log, on every broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.places import place_of
from workflow_events import KafkaSettings, PendingRequest, ResultUnavailableError, WorkflowResultEvent
from workflow_events.replies import read_back as module
from workflow_events.replies.read_back import read_back
from workflow_events.replies.records import RecordPosition, Reply
from workflow_events.replies.sync_reader import SyncReplyReader


def result(n: int) -> WorkflowResultEvent:
    return WorkflowResultEvent(correlation_id=uuid4(), workflow_id="w", workflow_run_id="r", result={"n": n})


def found_by_waiting(settings: KafkaSettings, ids: list[UUID]) -> list[Reply]:
    """The results and their places, as a waiter from the topic's start gets them."""
    requests = [
        PendingRequest(
            correlation_id=correlation_id,
            workflow_id="w",
            workflow_run_id="r",
            reply_topic=settings.workflow_results_topic,
            reply_cursor={},
            deadline=datetime.now(tz=UTC) + timedelta(seconds=60),
        )
        for correlation_id in ids
    ]
    with closing(SyncReplyReader(settings, settings.workflow_results_topic)) as reader:
        replies = dict(reader.replies(requests))
    return [replies[index] for index in range(len(ids))]


@pytest.fixture
def skip_short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Jump over few strangers already, so that a small log shows it."""
    monkeypatch.setattr(module, "_SKIP_RECORDS", 10)
    return iter(())


async def test_results_are_read_back_by_their_places(
    kafka_settings: KafkaSettings, publish: Any, skip_short: None
) -> None:
    # Given 600 results over all partitions, and the places of some: neighbours, and far apart
    results = [result(n) for n in range(600)]
    await publish(kafka_settings, results)
    some = [results[n] for n in (0, 1, 2, 3, 250, 251, 400, 599)]
    replies = found_by_waiting(kafka_settings, [one.correlation_id for one in some])

    # When they are read back, in any order
    wanted = {place_of(reply): reply.event.correlation_id for reply in reversed(replies)}
    found = read_back(kafka_settings, wanted)

    # Then each is the one that was there
    assert found == {place_of(reply): reply for reply in replies}
    assert [found[place_of(reply)].event.result for reply in replies] == [one.result for one in some]


async def test_what_is_not_there_any_more_is_said_at_once(kafka_settings: KafkaSettings, publish: Any) -> None:
    # Given a result and its place
    await publish(kafka_settings, [result(1)])
    first = result(2)
    await publish(kafka_settings, [first])
    (reply,) = found_by_waiting(kafka_settings, [first.correlation_id])
    begun = time.monotonic()

    # Then another request's id there, or a place beyond the log, is refused in words
    with pytest.raises(ResultUnavailableError, match="retention"):
        read_back(kafka_settings, {place_of(reply): uuid4()})
    beyond = RecordPosition(place_of(reply).topic, place_of(reply).partition, place_of(reply).offset + 1000)
    with pytest.raises(ResultUnavailableError, match=str(first.correlation_id)):
        read_back(kafka_settings, {place_of(reply): first.correlation_id, beyond: first.correlation_id})
    elsewhere = RecordPosition(place_of(reply).topic, 99, 0)
    with pytest.raises(ResultUnavailableError, match=r"\[99\]@0"):
        read_back(kafka_settings, {elsewhere: first.correlation_id})
    assert time.monotonic() - begun < 20


def test_nothing_wanted_asks_nobody() -> None:
    assert read_back(KafkaSettings(bootstrap_servers="127.0.0.1:1"), {}) == {}

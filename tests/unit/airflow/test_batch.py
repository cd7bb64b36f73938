from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_integration.batch import pack, unpack
from workflow_events.errors import InvalidEventError
from workflow_events.identifiers import new_event_id
from workflow_events.pending import PendingRequest


def requests(count: int) -> list[PendingRequest]:
    return [
        PendingRequest(
            correlation_id=new_event_id(),
            workflow_id="w",
            workflow_run_id="scheduled__2026-03-01T00:00:00+00:00",
            attempt=2,
            reply_topic="results",
            reply_cursor={0: 3, 2: 7},
            deadline=datetime(2026, 3, 1, tzinfo=UTC),
            thread_id="t",
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 300])
def test_requests_come_back_from_json_as_they_were_and_in_order(count: int) -> None:
    made = requests(count)

    assert unpack(json.loads(json.dumps(pack(made)))) == made


def test_ten_thousand_take_some_forty_bytes_each() -> None:
    assert len(json.dumps(pack(requests(10_000)))) < 10_000 * 42


@pytest.mark.parametrize(
    "change",
    [{"attempt": 3}, {"reply_topic": "others"}, {"deadline": datetime.now(tz=UTC) + timedelta(1)}],
    ids=["attempt", "topic", "deadline"],
)
def test_requests_that_differ_in_more_than_their_ids_are_not_packed_together(change: dict[str, Any]) -> None:
    first, second = requests(2)

    with pytest.raises(ValueError, match="share everything but their ids"):
        pack([first, second.model_copy(update=change)])


@pytest.mark.parametrize(
    "packed",
    [{}, {"shared": {}, "correlation_ids": []}, {"shared": {}, "correlation_ids": ["x"]}, {"shared": 1}],
    ids=["nothing", "no id", "no uuid", "no shared part"],
)
def test_what_is_not_packed_requests_says_so(packed: Any) -> None:
    with pytest.raises(InvalidEventError, match="Not the requests of a gather"):
        unpack(packed)

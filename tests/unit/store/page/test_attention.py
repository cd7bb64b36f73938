"""Which requests in flight somebody should look at."""

from __future__ import annotations

from typing import Any

import pytest

from result_store.page.attention import attention
from result_store.records import RunState
from tests.unit.store.page.made import NOW, ago, summary

HEARD = {"heartbeat_interval": 5.0}


@pytest.mark.parametrize(
    "state,known,said",
    [
        (RunState.RUNNING, {**HEARD, "last_heard_at": ago(20)}, None),
        (RunState.RUNNING, {**HEARD, "last_heard_at": ago(21)}, "its worker has been silent for 21 s"),
        (RunState.ACCEPTED, {**HEARD, "last_heard_at": ago(90)}, "its worker has been silent for 1 min 30 s"),
        (RunState.RUNNING, {"last_heard_at": ago(9000)}, None),
        (RunState.RUNNING, {"heartbeat_interval": 0.0, "last_heard_at": ago(9000)}, None),
        (RunState.RUNNING, {"heartbeat_interval": 1e300, "last_heard_at": ago(9000)}, None),
        (RunState.PENDING, {"requested_at": ago(60)}, None),
        (RunState.PENDING, {"requested_at": ago(61)}, "no worker has taken it for 1 min 1 s"),
        (RunState.PENDING, {"requested_at": None}, None),
        (RunState.RUNNING, {**HEARD, "last_heard_at": ago(1), "deadline": ago(2)}, "past its deadline for 2 s"),
        (RunState.ERROR, {**HEARD, "last_heard_at": ago(9000), "deadline": ago(2)}, None),
    ],
)
def test_a_request_wants_a_look_when_nobody_takes_it_or_its_worker_is_silent_or_its_time_is_up(
    state: RunState, known: dict[str, Any], said: str | None
) -> None:
    assert attention(summary(state, **known), NOW) == said

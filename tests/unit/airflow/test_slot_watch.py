from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner

from airflow_integration.slot_watch import SlotWatch, own_state
from workflow_events.testing.waiting import wait_until


def states(*found: str | Exception | None) -> Callable[[], str | None]:
    """A look that finds one after the other, and goes on with the last."""
    left = list(found)

    def look() -> str | None:
        one = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(one, Exception):
            raise one
        return one

    return look


@pytest.mark.parametrize("state", ["failed", "success", "restarting", None])
def test_a_task_that_is_no_longer_to_run_is_told_of_once(state: str | None) -> None:
    told: list[int] = []

    with SlotWatch(states("running", "running", state), lambda: told.append(1), 0.001) as watch:
        wait_until(lambda: watch.unwanted, 10)
        wait_until(lambda: not watch._thread.is_alive(), 10)

    assert told == [1]


def test_a_task_that_runs_is_left_alone_also_where_airflow_cannot_be_asked() -> None:
    looks = threading.Semaphore(0)
    told: list[int] = []
    find = states(RuntimeError("away"), "running", RuntimeError("away"), "running")

    def look() -> str | None:
        looks.release()
        return find()

    with SlotWatch(look, lambda: told.append(1), 0.001) as watch:
        for _ in range(10):
            assert looks.acquire(timeout=10)

    assert not watch.unwanted
    assert not watch._thread.is_alive()
    assert told == []


@pytest.mark.parametrize("map_index, name", [(-1, "ask"), (3, "ask_3")])
def test_the_state_is_asked_for_that_one_task_instance(
    map_index: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def get_task_states(**wanted: Any) -> dict[str, Any]:
        asked.update(wanted)
        return {"r": {name: "failed"}}

    instance = SimpleNamespace(
        dag_id="d", run_id="r", task_id="ask", map_index=map_index, get_task_states=get_task_states
    )
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(_thread_lock=object()), raising=False)

    look = own_state({"ti": instance})

    assert look is not None
    assert look() == "failed"
    assert asked == {"dag_id": "d", "map_index": map_index, "task_ids": ["ask"], "run_ids": ["r"]}


def test_without_a_supervisor_nothing_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = SimpleNamespace(get_task_states=lambda **_: pytest.fail("nobody was to ask"))
    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS", raising=False)

    assert own_state({"ti": instance}) is None
    assert own_state({"ti": SimpleNamespace()}) is None

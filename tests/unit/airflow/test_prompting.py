from __future__ import annotations

import asyncio

import pytest

from airflow_integration import WorkflowResultTrigger
from airflow_integration.prompting import prompted
from airflow_integration.settled_trigger import SettleOptions
from airflow_integration.settling import TaskProcess

SETTLE: SettleOptions = {"interval": 5.0, "margin": 5.0, "process": {"pid": 1, "namespace": "elsewhere"}}


def tellers() -> int:
    return sum(task.get_name() == "prompting" for task in asyncio.all_tasks())


async def test_many_who_wait_have_one_teller_that_ends_with_the_last_of_them() -> None:
    said: asyncio.Queue[None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def say() -> None:
        loop.call_soon_threadsafe(said.put_nowait, None)

    # Given two who wait
    async with asyncio.timeout(20):
        async with prompted(0.001, say):
            async with prompted(0.001, say):
                # Then words are said, by one
                await said.get()
                assert tellers() == 1
            # And they go on until the last has gone
            while not said.empty():
                said.get_nowait()
            await said.get()
            assert tellers() == 1
        assert tellers() == 0


async def test_a_waiter_that_is_cancelled_leaves_the_others_their_teller_and_takes_the_last_one_along() -> None:
    async def wait() -> None:
        async with prompted(0.001, lambda: None):
            await asyncio.Event().wait()

    first, second = asyncio.create_task(wait()), asyncio.create_task(wait())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    assert tellers() == 1

    second.cancel()
    await asyncio.wait([second])
    assert tellers() == 0


async def test_where_it_is_not_wanted_nobody_is_told() -> None:
    async with prompted(0):
        assert tellers() == 0


@pytest.mark.parametrize(
    "cancel_on_kill, settle, interval",
    [
        (True, SETTLE, 0.5),
        (False, SETTLE, 0.0),
        (True, None, 0.0),
        (True, {**SETTLE, "process": TaskProcess.current().to_json()}, 0.0),
    ],
    ids=["a task's", "a sensor's", "nobody's", "of dag.test()"],
)
def test_only_a_trigger_that_stops_runs_beside_a_triggerer_has_words_said(
    cancel_on_kill: bool,  # noqa: FBT001
    settle: SettleOptions | None,
    interval: float,
) -> None:
    trigger = WorkflowResultTrigger({}, settle=settle, cancel_on_kill=cancel_on_kill)

    assert trigger._prompting() == interval


def test_who_leaves_kills_to_airflow_has_none_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__WORKFLOW_EVENTS__KILL_WATCH_INTERVAL", "0")

    assert WorkflowResultTrigger({}, settle=SETTLE)._prompting() == 0.0

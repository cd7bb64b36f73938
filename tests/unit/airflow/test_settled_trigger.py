from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from airflow_integration.settled_trigger import SettledTrigger


class InAThread(SettledTrigger):
    """Waits in a thread, as the first trigger of a process does that imports a Kafka client."""

    def __init__(self) -> None:
        super().__init__("c", None)
        self.begun = asyncio.Event()
        self.go_on = threading.Event()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "", {}

    async def outcome(self) -> Mapping[str, Any]:
        self.begun.set()
        await sync_to_async(self.go_on.wait, thread_sensitive=False)(20)
        return {}


async def test_airflows_word_that_a_user_ended_the_task_outlives_whatever_is_interrupted() -> None:
    """Without it, Airflow takes the cancel for a stop of the triggerer, and calls no ``on_kill``."""
    trigger = InAThread()

    async def run() -> None:
        async for _ in trigger.run():
            pass

    running = asyncio.create_task(run())
    async with asyncio.timeout(20):
        await trigger.begun.wait()
        await asyncio.sleep(0)
        running.cancel("the user's")
        with pytest.raises(asyncio.CancelledError) as caught:
            await running
    trigger.go_on.set()

    assert caught.value.args == ("the user's",)

"""Has Airflow's triggerer notice sooner that a user has marked or cleared a deferred task.

The triggerer is two processes that each go round once a second: one reads from the database which triggers are to run, the other,
where they run, asks it for news. The first also goes round whenever it has heard something, so it looks right *after* it has
answered, and what it finds waits for the next question: a mark takes one to two seconds to arrive
(``TriggerRunnerSupervisor.run_once`` and ``TriggerRunner.arun``). A word in between has it look in between.

The word is the least there is: to mask an empty secret, which Airflow passes over. One teller for all triggers of the process.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow.sdk.log import mask_secret
from asgiref.sync import sync_to_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["prompted"]


class _Prompting:
    """The one teller of an event loop.

    Attributes:
        users: how many are inside :func:`prompted`.
    """

    def __init__(self, interval: float, say: Callable[[], object]) -> None:
        self.users = 0
        self._task = asyncio.create_task(self._prompt(interval, say), name="prompting")

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _prompt(self, interval: float, say: Callable[[], object]) -> None:
        word = sync_to_async(say, thread_sensitive=False)
        while True:
            await asyncio.sleep(interval)
            await word()


_prompting: WeakKeyDictionary[asyncio.AbstractEventLoop, _Prompting] = WeakKeyDictionary()


def _word() -> None:
    mask_secret("")  # raises nothing


@asynccontextmanager
async def prompted(interval: float, say: Callable[[], object] = _word) -> AsyncIterator[None]:
    """While the block lasts, the triggerer is made to look every so often.

    Args:
        interval: seconds; the first user's holds for all. 0: it is left alone.
        say: called in a thread; must not raise.
    """
    if interval <= 0:
        yield
        return
    loop = asyncio.get_running_loop()
    shared = _prompting.get(loop)
    if shared is None:
        shared = _prompting[loop] = _Prompting(interval, say)
    shared.users += 1
    try:
        yield
    finally:
        shared.users -= 1
        if shared.users == 0:
            del _prompting[loop]
            await shared.end()

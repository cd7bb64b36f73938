"""Stopping aiokafka's clients so that none of their connections stays open.

aiokafka waits for its own tasks one after the other, and closes the connections last. Where its caller is cancelled meanwhile, or
one of those tasks was (``asyncio.run`` cancels all there are when it ends), it stops there.
"""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import ProducerClosed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from aiokafka import AIOKafkaProducer

__all__ = ["give_up_undelivered", "stop", "stopping"]

_CANCEL_AGAIN_AFTER = 0.1
"""Seconds. A cancellation can be lost: until Python 3.12, ``asyncio.wait_for`` drops one that comes with its result."""

# Where a client keeps its tasks: a path of attributes, to a task or to a set of them.
_TASKS = (
    ("_coordinator", "_coordination_task"),
    ("_coordinator", "_heartbeat_task"),
    ("_coordinator", "_commit_refresh_task"),
    ("_coordinator", "_reset_committed_task"),
    ("_fetcher", "_fetch_task"),
    ("_fetcher", "_pending_tasks"),
    ("_sender", "_sender_task"),
    ("_client", "_sync_task"),
    ("client", "_sync_task"),
)


async def stop(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Stop a client. A cancellation that comes meanwhile is raised once it has stopped, and nothing of it is left open.

    aiokafka awaits its own cancelled tasks and takes every cancellation there for theirs, so that its caller's would be lost.
    """
    await stopping(client, client.stop())


async def stopping(client: AIOKafkaConsumer | AIOKafkaProducer, stopped: Awaitable[None]) -> None:
    """As :func:`stop`, for a client whose own ``stop()`` calls this with what remains to be awaited."""
    task = asyncio.current_task()
    asked = task.cancelling() if task is not None else 0
    try:
        await stopped
    except asyncio.CancelledError:
        # Ours, which is raised below; or that of a task of the client's, which is just what it was to come to.
        await _cut_off(client)
    except BaseException:
        await _cut_off(client)
        raise
    if task is not None and task.cancelling() > asked:
        raise asyncio.CancelledError


def give_up_undelivered(producer: AIOKafkaProducer) -> None:
    """Fail what a stopped producer has not delivered, since it was cut off; aiokafka would leave waiting who waits for it."""
    kept = producer._message_accumulator  # noqa: SLF001
    undelivered = [*chain.from_iterable(kept._batches.values()), *kept._pending_batches]  # noqa: SLF001
    kept.fail_all(ProducerClosed())
    for batch in undelivered:
        batch._drain_waiter.exception()  # noqa: SLF001  # seen, so that the event loop does not call it lost


async def _cut_off(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """End what the client still does, and close its connections without waiting for an answer."""
    try:
        running = {task for task in _tasks(client) if not task.done()}
        while running:
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=_CANCEL_AGAIN_AFTER)
    finally:
        inner = client._client if isinstance(client, AIOKafkaConsumer) else client.client  # noqa: SLF001
        for connection in list(inner._conns.values()):  # noqa: SLF001
            connection.close()


def _tasks(client: AIOKafkaConsumer | AIOKafkaProducer) -> Iterator[asyncio.Task[Any]]:
    for owner, name in _TASKS:
        held = getattr(getattr(client, owner, None), name, None)
        if held is not None:
            yield from (held,) if isinstance(held, asyncio.Task) else tuple(held)

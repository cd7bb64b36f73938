"""How the runs of messages that leave a worker's hands are ended."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langgraph_integration.deliveries import Delivery

__all__ = ["release"]

log = logging.getLogger(__name__)

# Seconds that a cancelled run gets to clean up. One that takes longer is no longer waited for.
_CANCEL_PATIENCE = 5.0


async def release(deliveries: Iterable[Delivery], *, grace: float) -> int:
    """End the handling of messages: those not started at once, the others after ``grace`` seconds.

    A run with lasting checkpoints is asked to stop after the superstep that it is in, which has the grace to end; what a
    node has done is then stored, and its work is not done again. A run without may go on to its end.

    Returns:
        How many were cancelled, and so are handed back.
    """
    tasks = {delivery.task: delivery for delivery in deliveries if delivery.task is not None}
    waiting = [task for task, delivery in tasks.items() if not delivery.started]
    running = [task for task, delivery in tasks.items() if delivery.started]
    for task in waiting:
        task.cancel()
    for task in running:
        tasks[task].hand_over.ask()
    late: set[asyncio.Task[None]] = set()
    if running and grace > 0:
        _, late = await asyncio.wait(running, timeout=grace)
    else:
        late = set(running)
    for task in late:
        task.cancel()
    if cancelled := [*waiting, *late]:
        _, stuck = await asyncio.wait(cancelled, timeout=_CANCEL_PATIENCE)
        if stuck:
            log.error("%d runs did not end within %g s of being cancelled", len(stuck), _CANCEL_PATIENCE)
    return sum(task.cancelled() or not task.done() for task in tasks)

"""The requester, as a process that may be killed at any time and started again.

It asks under ids that follow from the number of the request, so that asking again, where the process died between publishing
and writing the pending request down, asks for the same work. What is written down is taken up from its JSON alone.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from functools import partial
from pathlib import Path
from typing import cast

from tests.chaos.graph import LEDGER
from tests.chaos.ledger import Answer, Ledger
from workflow_events import AsyncWorkflowClient, PendingRequest, WorkflowEventsError
from workflow_events.retry import async_transport_retrying

__all__ = ["PER_SECOND", "REQUESTS", "TIMEOUT", "id_of"]

REQUESTS, PER_SECOND, TIMEOUT, NAMESPACE = "CHAOS_REQUESTS", "CHAOS_PER_SECOND", "CHAOS_TIMEOUT", "CHAOS_NAMESPACE"


def id_of(namespace: uuid.UUID, n: int) -> uuid.UUID:
    """The correlation id of request ``n``."""
    return uuid.uuid5(namespace, str(n))


async def _see_through(client: AsyncWorkflowClient, ledger: Ledger, n: int, known: PendingRequest | None) -> None:
    """Ask, unless it was asked by an earlier life of this process; wait; write the answer down."""
    correlation_id = id_of(uuid.UUID(os.environ[NAMESPACE]), n)
    timeout = float(os.environ[TIMEOUT])
    try:
        pending = known
        if pending is None:
            submit = partial(client.submit, "chaos", {"n": n}, timeout=timeout, correlation_id=correlation_id)
            pending = cast("PendingRequest", await async_transport_retrying(timeout)(submit))
            await asyncio.to_thread(ledger.asked, n, str(correlation_id), pending.to_json())
        result = await client.wait(pending)
        status, answer = result.status.value, {**result.result, **({"error": result.error} if result.error else {})}
    except WorkflowEventsError as error:
        status, answer = "lost", {"error": f"{type(error).__name__}: {error}"}
    entry = Answer(n, str(correlation_id), status, answer, str(os.getpid()))
    await asyncio.to_thread(ledger.answered, entry)


async def _main() -> None:
    ledger = Ledger(Path(os.environ[LEDGER]))
    count, pause = int(os.environ[REQUESTS]), 1 / float(os.environ[PER_SECOND])
    done = {answer.n for answer in ledger.answers()}
    pending = {n: PendingRequest.from_json(data) for n, data in ledger.pending().items()}
    print(f"{len(done)} answered, {len(pending.keys() - done)} taken up again", flush=True)  # noqa: T201 - its log
    async with AsyncWorkflowClient() as client, asyncio.TaskGroup() as tasks:
        for n in range(count):
            if n not in done:
                tasks.create_task(_see_through(client, ledger, n, pending.get(n)))
                if n not in pending:
                    await asyncio.sleep(pause)
    print("all answered", flush=True)  # noqa: T201 - its log


if __name__ == "__main__":
    asyncio.run(_main())

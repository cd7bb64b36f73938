"""Runs a role until it is asked to stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from result_store import replay as replaying
from result_store.api.health_app import health_app
from result_store.api.serving import HttpService
from result_store.assembly import OPTIONAL, WIRING, Store, probes
from result_store.garbage import settle
from result_store.roles import Role
from workflow_events.signals import on_stop_signals

if TYPE_CHECKING:
    from datetime import datetime

    from result_store.replay import ReplayReport
    from result_store.settings import StoreSettings
    from workflow_events.settings import KafkaSettings

__all__ = ["replay", "serve", "until_stopped"]

log = logging.getLogger(__name__)


async def serve(
    role: Role, kafka: KafkaSettings, settings: StoreSettings, *, create_topics: bool = False, migrate: bool = False
) -> None:
    """Process, answer, or both, until SIGTERM or SIGINT. A second signal, or one while the parts are being built, ends at once.

    Args:
        role: ``all``, ``processor`` or ``api``.
        create_topics: make the topics that are missing.
        migrate: bring the database to this version's schema.

    Raises:
        WiringError: a part cannot be built.
        WorkflowEventsError: what the role needs has failed for good.
    """
    store = Store(kafka, settings, role, create_topics=create_topics, migrate=migrate)
    stopping, built = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with WIRING.built(role, store):
            built.set()
            settle()
            await _serve(store, stopping)

    await until_stopped(work(), stopping, built)


async def replay(since: datetime, kafka: KafkaSettings, settings: StoreSettings) -> ReplayReport | None:
    """Store once more what was published at or after a time (aware).

    Returns:
        What was done; None where it was asked to stop.

    Raises:
        WiringError: a part cannot be built.
        WorkflowEventsError: what it needs has failed for good.
    """
    store = Store(kafka, settings, Role.REPLAY)
    report: ReplayReport | None = None

    async def work() -> None:
        nonlocal report
        async with WIRING.built(Role.REPLAY, store):
            settle()
            report = await replaying.replay(kafka, store.saving, since, batch_size=settings.batch_size)

    await until_stopped(work(), asyncio.Event(), asyncio.Event())
    return report


async def until_stopped(
    work: Coroutine[Any, Any, None],
    stopping: asyncio.Event,
    built: asyncio.Event,
    *,
    asked_by: Coroutine[Any, Any, None] | None = None,
) -> None:
    """Do the work; the first signal sets ``stopping``. A second one cuts it off, and so does one while it is not built.

    Args:
        asked_by: another way of being asked to stop, which its end does. It is no signal, so the first one after it is no second.

    Raises:
        whatever the work raises; where several parts of it failed, what the first raised.
    """
    task = asyncio.ensure_future(work)
    signalled = False

    def asked() -> None:
        nonlocal signalled
        if signalled or not built.is_set():
            task.cancel()
        signalled = True
        stopping.set()

    async def listen(told: Coroutine[Any, Any, None]) -> None:
        await told
        if not built.is_set():
            task.cancel()
        stopping.set()

    listening = [] if asked_by is None else [asyncio.ensure_future(listen(asked_by))]
    with on_stop_signals(asked):
        try:
            await task
        except asyncio.CancelledError:
            if not stopping.is_set():
                raise
            log.warning("Ended at once; what was not committed will be read again")
        except BaseExceptionGroup as group:
            raise _first(group) from group
        finally:
            for left in (task, *listening):
                left.cancel()
            await asyncio.wait([task, *listening])


async def _serve(store: Store, stopping: asyncio.Event) -> None:
    async with _http(store), asyncio.TaskGroup() as tasks:
        processing = tasks.create_task(store.processor.run()) if store.processes else None
        await _either(stopping, processing)
        log.info("Stopping")
        if store.processes:
            store.processor.stop()


async def _either(stopping: asyncio.Event, processing: asyncio.Task[None] | None) -> None:
    """Wait for the word to stop, or for a processor that ends by itself; its error is its group's to raise."""
    asked = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait([asked, *([processing] if processing else [])], return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()


@asynccontextmanager
async def _http(store: Store) -> AsyncIterator[None]:
    """The process's ports. A processor alone answers for its health, at the port that is the API's elsewhere."""
    app = store.app if store.answers else health_app(probes(store), OPTIONAL)
    service = HttpService(store.settings, app, store.metrics)

    def end_streams() -> None:
        if store.answers:
            store.feed.end()

    async with service.serving(on_stop=end_streams):
        what = "API and page" if store.answers else "Health"
        log.info("%s at %s", what, service.url)
        if service.metrics_port is not None:
            log.info("Metrics at http://%s:%d/metrics", store.settings.metrics_host, service.metrics_port)
        yield


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error

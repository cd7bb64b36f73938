"""Live events as Server-Sent Events (WHATWG HTML, 9.2), which a browser's ``EventSource`` takes up again by itself."""

# ruff: noqa: TC001 - FastAPI reads the annotations of routes while the program runs
from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from result_store import stream_ids
from result_store.api.answers import parts_of, problems
from result_store.api.auth import GuardedRoute, caller_of, gate_of
from result_store.errors import AccessRefusedError, DatabaseError, LiveFeedError
from result_store.records import StoredEvent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from result_store.live import LiveFeed
    from result_store.records import Scope
    from workflow_events.replies.cursor import Cursor

__all__ = ["router"]

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/internal/v1", tags=["live"], route_class=GuardedRoute)

_EVENT: Final = "result_stored"
_HEARTBEAT_SECONDS: Final = 15
_SEND_SECONDS: Final = 30.0
"""How long a client may take nothing before it is sent away."""
_CHECK_SECONDS: Final = 2.0
"""How long a caller who has been let in is told things before it is asked again whether they still may."""
_RETRY_MS: Final = 2000
"""How long a browser waits before it comes back."""


@router.get(
    "/events",
    response_class=EventSourceResponse,
    responses={
        **problems(),
        200: {
            "description": "A stream without end. Each event `result_stored` has a StoredEvent as its data; its id is where the "
            "stream stands. Comments keep the connection alive; with them the id moves on, too.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
    },
    summary="What changes, as it does",
)
async def events(
    request: Request,
    last_event_id: Annotated[
        str | None, Header(description="The last id that was seen: what came since is told first.")
    ] = None,
    since: Annotated[
        str | None, Query(description="As Last-Event-ID, for who cannot send headers; the header wins.")
    ] = None,
    workflow_run_id: Annotated[str | None, Query(max_length=1024, description="Only of this batch.")] = None,
    correlation_id: Annotated[UUID | None, Query(description="Only of this request.")] = None,
) -> EventSourceResponse:
    """A request's row has changed: which, and where it stands now. At least once each, of those that the caller may see."""
    feed = parts_of(request).feed
    if feed is None:
        raise LiveFeedError("This process has no live events: it was started without Kafka.")
    given = last_event_id or since
    cursor = stream_ids.parse(given) if given else None
    await feed.check()
    gate = gate_of(request)
    stream = _Stream(
        feed, cursor, _wanted(caller_of(request).scope, workflow_run_id, correlation_id), lambda: gate.identify(request)
    )
    return EventSourceResponse(
        stream.events(),
        ping=_HEARTBEAT_SECONDS,
        ping_message_factory=stream.heartbeat,
        send_timeout=_SEND_SECONDS,
        sep="\n",
    )


class _Stream:
    """One client's stream.

    Args:
        may_still: raises where the client may not be told any more, say because its key was revoked meanwhile.
    """

    def __init__(
        self,
        feed: LiveFeed,
        since: Cursor | None,
        wanted: Callable[[StoredEvent], bool],
        may_still: Callable[[], Awaitable[object]],
    ) -> None:
        self._feed = feed
        self._since = since
        self._wanted = wanted
        self._may_still = may_still
        self._checked_at = time.monotonic()
        self._sent: str | None = None

    async def events(self) -> AsyncGenerator[ServerSentEvent]:
        """The stream's contents."""
        watching = self._feed.watch(self._since, self._wanted)
        try:
            async for cursor, record in watching:
                at = stream_ids.text(cursor)
                if record is None:
                    # An id without data moves the client on and tells it nothing.
                    yield ServerSentEvent(id=at, retry=_RETRY_MS, comment="", sep="\n")
                else:
                    await self._check()
                    yield ServerSentEvent(record.event.model_dump_json(), event=_EVENT, id=at, sep="\n")
                self._sent = at
        except (AccessRefusedError, DatabaseError) as error:
            # When it comes back, it is told why.
            logger.info("a client of the live events is sent away: %s", error)
        finally:
            await watching.aclose()

    async def _check(self) -> None:
        now = time.monotonic()
        if now - self._checked_at >= _CHECK_SECONDS:
            await self._may_still()
            self._checked_at = now

    def heartbeat(self) -> ServerSentEvent:
        """A comment; and, as the id, where the stream stands, so that what was not wanted is not read again."""
        return ServerSentEvent(id=self._sent, comment="alive", sep="\n")


def _wanted(scope: Scope, workflow_run_id: str | None, correlation_id: UUID | None) -> Callable[[StoredEvent], bool]:
    def wanted(event: StoredEvent) -> bool:
        return (
            (scope.user_id is None or event.user_id == scope.user_id)
            and (scope.tenant_id is None or event.tenant_id == scope.tenant_id)
            and (workflow_run_id is None or event.workflow_run_id == workflow_run_id)
            and (correlation_id is None or event.correlation_id == correlation_id)
        )

    return wanted

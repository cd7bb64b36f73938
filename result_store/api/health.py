"""Is the process alive, and is all there that it needs? Open to everybody, so it says nothing that is secret."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from workflow_events.errors import WorkflowEventsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from result_store.api.parts import Probe

__all__ = ["DependencyState", "Readiness", "ReadinessCheck", "router"]

router = APIRouter(tags=["health"])

_PATIENCE: Final = 3.0
"""Seconds that a dependency gets to answer."""
_FRESH: Final = 1.0
"""Seconds that an answer holds: however often somebody asks, the dependencies are not asked more often."""


class Liveness(BaseModel):
    """The process turns."""

    status: Literal["ok"] = "ok"


class DependencyState(BaseModel):
    """How one dependency is.

    Attributes:
        ms: how long it took to answer, in milliseconds.
        reason: why it failed.
    """

    status: Literal["ok", "failed"]
    ms: float
    reason: str | None = None


class Readiness(BaseModel):
    """How all dependencies are; ``failed`` where one is that the store cannot do without."""

    status: Literal["ok", "failed"]
    dependencies: dict[str, DependencyState]


class ReadinessCheck:
    """Asks all dependencies at once.

    Args:
        probes: by the names of the dependencies.
        optional: those whose failure is told and does no harm, such as the cache's.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        probes: Mapping[str, Probe],
        *,
        optional: AbstractSet[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._probes = probes
        self._optional = optional
        self._clock = clock
        self._asking = asyncio.Lock()
        self._last: tuple[float, Readiness] | None = None

    async def ask(self) -> Readiness:
        """How they are, as of now or of a second ago."""
        async with self._asking:
            if self._last is None or self._clock() - self._last[0] >= _FRESH:
                states = await asyncio.gather(*(_state(probe) for probe in self._probes.values()))
                found = dict(zip(self._probes, states, strict=True))
                failed = any(state.status == "failed" for name, state in found.items() if name not in self._optional)
                readiness = Readiness(status="failed" if failed else "ok", dependencies=found)
                self._last = (self._clock(), readiness)
            return self._last[1]


@router.get("/healthz", summary="Whether the process is alive")
async def healthz() -> Liveness:
    """Answers while the event loop turns."""
    return Liveness()


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "A dependency does not answer."}},
    summary="Whether all that it needs is there",
)
async def readyz(request: Request) -> Response:
    """Each dependency with its state, how long it took to answer, and why it failed."""
    check: ReadinessCheck = request.app.state.readiness
    readiness = await check.ask()
    return Response(
        readiness.model_dump_json(exclude_none=True),
        200 if readiness.status == "ok" else 503,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


async def _state(probe: Probe) -> DependencyState:
    began = time.perf_counter()
    reason: str | None = None
    try:
        async with asyncio.timeout(_PATIENCE):
            await probe()
    except TimeoutError:
        reason = f"no answer within {_PATIENCE:g} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, the dependency is not well
        reason = _reason(error)
    ms = round((time.perf_counter() - began) * 1000, 1)
    return DependencyState(status="ok" if reason is None else "failed", ms=ms, reason=reason)


def _reason(error: Exception) -> str:
    # Our own errors show no secrets; what others say, such as a driver with its URL, is not for everybody.
    if isinstance(error, WorkflowEventsError):
        return str(error)
    return f"it failed with {type(error).__name__}, which the store does not know"

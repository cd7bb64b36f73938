"""Which parts a role is made of, in which order they are built, and who needs which.

A part says what it needs; nothing else knows the order. A role is built by opening its parts, each behind those that it needs,
and closed in reverse. :meth:`Wiring.check` does the same and touches each part besides, without serving anybody, and goes on
where one fails, so that one look shows everything that is missing. What the parts are is in :mod:`result_store.assembly`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from graphlib import TopologicalSorter
from typing import Any, Final, Generic, TypeVar

from result_store.errors import WiringError
from result_store.roles import COMMANDS, Role
from workflow_events.errors import WorkflowEventsError

__all__ = ["Finding", "Outcome", "Part", "Wiring"]

_PATIENCE: Final = 60.0
"""Seconds that one part may take to be opened and touched; those that know how long that should be give up before."""
_MOST_CHAINS: Final = 3
"""As many a sentence holds."""
_CREDENTIALS: Final = re.compile(r"://[^\s/@]*@")

Held = TypeVar("Held")


@dataclass(frozen=True, slots=True)
class Part(Generic[Held]):
    """One thing that a role is made of.

    Attributes:
        name: what it is called in chains.
        needs: the names of the parts that must be open before it.
        variables: the settings that decide about it.
        remedy: a sentence: what to set or do where it fails.
        open: makes it and puts it into what holds the parts; leaving closes it.
        touch: uses it once, without changing anything that counts, and returns in short what was found. Raises on failure.
    """

    name: str
    needs: tuple[str, ...]
    variables: tuple[str, ...]
    remedy: str
    open: Callable[[Held], AbstractAsyncContextManager[None]]
    touch: Callable[[Held], Awaitable[str]]


class Outcome(StrEnum):
    """What a check found."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found of one part.

    Attributes:
        detail: what is there, why it failed, or which part was missing so that it was not tried.
        chains: who needs it: each from the command to the part.
        seconds: how long it took.
    """

    part: str
    outcome: Outcome
    detail: str
    chains: tuple[tuple[str, ...], ...]
    variables: tuple[str, ...]
    remedy: str
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As ``check --json`` prints it."""
        common = {"part": self.part, "outcome": self.outcome.value, "ms": round(self.seconds * 1000, 1)}
        needed = {"detail": self.detail, "needed_by": [" -> ".join(chain) for chain in self.chains]}
        failed = {"variables": list(self.variables), "remedy": self.remedy} if self.outcome is Outcome.FAILED else {}
        return {**common, **needed, **failed}


class Wiring(Generic[Held]):
    """The parts, and what each role has of them.

    Args:
        parts: in any order.
        roles: the names of the parts that each role itself needs.

    Raises:
        ValueError: a part or a role needs one that there is not.
        graphlib.CycleError: parts need each other.
    """

    def __init__(self, parts: Iterable[Part[Held]], roles: Mapping[Role, tuple[str, ...]]) -> None:
        self.parts = {part.name: part for part in parts}
        self.roles = dict(roles)
        graph = {name: part.needs for name, part in self.parts.items()}
        needed = {name for needs in (*graph.values(), *self.roles.values()) for name in needs}
        if not needed <= self.parts.keys():
            raise ValueError(f"no part is named {', '.join(sorted(needed - self.parts.keys()))}")
        self._order = tuple(TopologicalSorter(graph).static_order())

    def order(self, role: Role) -> tuple[Part[Held], ...]:
        """The parts of a role, each behind those that it needs."""
        wanted: set[str] = set()
        waiting = list(self.roles[role])
        while waiting:
            name = waiting.pop()
            wanted.add(name)
            waiting.extend(self.parts[name].needs)
        return tuple(self.parts[name] for name in self._order if name in wanted)

    def chains(self, role: Role, name: str) -> tuple[tuple[str, ...], ...]:
        """Every way on which a role comes to need a part, from its command to the part, the shortest first."""

        def ways_from(needs: tuple[str, ...], so_far: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
            for need in needs:
                way = (*so_far, need)
                if need == name:
                    yield way
                else:
                    yield from ways_from(self.parts[need].needs, way)

        return tuple(sorted(ways_from(self.roles[role], (COMMANDS[role],)), key=len))

    @asynccontextmanager
    async def built(self, role: Role, held: Held) -> AsyncIterator[None]:
        """Open all parts of a role; leaving closes them in reverse.

        Raises:
            WiringError: one of them cannot be opened.
        """
        async with AsyncExitStack() as stack:
            for part in self.order(role):
                try:
                    await stack.enter_async_context(part.open(held))
                except (WorkflowEventsError, OSError, ImportError) as error:
                    chains = self.chains(role, part.name)
                    raise WiringError(_sentence(part.name, _reason(error), chains, part.remedy)) from error
            yield

    async def check(self, role: Role, held: Held) -> list[Finding]:
        """Open and touch all parts of a role, and close them. A part behind one that fails is not tried.

        Returns:
            one finding for each part, in the order in which they are built.
        """
        findings: dict[str, Finding] = {}
        async with AsyncExitStack() as stack:
            for part in self.order(role):
                missing = [need for need in part.needs if findings[need].outcome is not Outcome.OK]
                began = time.monotonic()
                if missing:
                    outcome, detail = Outcome.SKIPPED, f"needs {', '.join(missing)}"
                else:
                    outcome, detail = await _tried(part, held, stack)
                findings[part.name] = Finding(
                    part.name,
                    outcome,
                    detail,
                    self.chains(role, part.name),
                    part.variables,
                    part.remedy,
                    time.monotonic() - began,
                )
        return list(findings.values())


async def _tried(part: Part[Held], held: Held, stack: AsyncExitStack) -> tuple[Outcome, str]:
    try:
        async with asyncio.timeout(_PATIENCE):
            await stack.enter_async_context(part.open(held))
            return Outcome.OK, await part.touch(held)
    except TimeoutError as error:
        return Outcome.FAILED, str(error) or f"no answer within {_PATIENCE:g} s"
    except Exception as error:  # noqa: BLE001 - whatever it is, the role cannot start
        return Outcome.FAILED, _reason(error)


def _sentence(part: str, reason: str, chains: tuple[tuple[str, ...], ...], remedy: str) -> str:
    shown = [" -> ".join(chain) for chain in chains[:_MOST_CHAINS]]
    more = f" (and {len(chains) - _MOST_CHAINS} more)" if len(chains) > _MOST_CHAINS else ""
    return f"{part}: {reason.rstrip('.')}. Needed by: {'; '.join(shown)}{more}. {remedy}"


def _reason(error: BaseException) -> str:
    """What an error says, in one line and without what a URL in it may hold of credentials."""
    text = " ".join(str(error).split()) or type(error).__name__
    named = text if isinstance(error, WorkflowEventsError) else f"{type(error).__name__}: {text}"
    return _CREDENTIALS.sub("://…@", named)

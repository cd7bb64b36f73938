"""Timers by the thousand: who must give up when, in slots that share one timer each.

A hashed timing wheel (Varghese and Lauck, 1987) on top of the event loop's own timers: a waiter that comes and goes costs a
set's entry in place of a timer in the loop's heap. A slot ends late by its width at most, and never early.
"""

from __future__ import annotations

import asyncio
import math
from itertools import islice
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Deadlines", "Expiring"]

_SLOT_SECONDS = 0.02
_AT_ONCE = 100
"""How many expire before others in the loop have their turn: ten thousand may share one deadline."""


class Expiring(Protocol):
    """One who must give up at a time."""

    def expire(self) -> None:
        """Called at that time, once."""


class _Slot:
    __slots__ = ("members", "timer")

    def __init__(self) -> None:
        self.members: set[Expiring] = set()
        self.timer: asyncio.Handle | None = None


class Deadlines:
    """The deadlines of one event loop's waiters.

    Args:
        loop: whose clock the times are of.
        slot: width of a slot in seconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, slot: float = _SLOT_SECONDS) -> None:
        self.now: Callable[[], float] = loop.time
        self._loop = loop
        self._width = slot
        self._slots: dict[int, _Slot] = {}

    def __len__(self) -> int:
        return sum(len(slot.members) for slot in self._slots.values())

    def add(self, member: Expiring, when: float) -> int:
        """Have ``member`` expire at ``when``, in the loop's time; what :meth:`remove` takes."""
        number = math.ceil(when / self._width)
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = _Slot()
            slot.timer = self._loop.call_at(number * self._width, self._expire, number)
        slot.members.add(member)
        return number

    def remove(self, member: Expiring, number: int) -> None:
        """Take ``member`` out again; nothing happens where it has expired."""
        slot = self._slots.get(number)
        if slot is None:
            return
        slot.members.discard(member)
        if not slot.members:
            self._drop(number, slot)

    def _expire(self, number: int) -> None:
        slot = self._slots[number]
        for member in tuple(islice(slot.members, _AT_ONCE)):
            slot.members.discard(member)
            member.expire()
        if slot.members:
            slot.timer = self._loop.call_soon(self._expire, number)
        else:
            self._drop(number, slot)

    def _drop(self, number: int, slot: _Slot) -> None:
        if slot.timer is not None:
            slot.timer.cancel()
        self._slots.pop(number, None)

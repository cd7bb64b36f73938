"""An event loop whose clock jumps to the next timer instead of waiting for it: hours of waits pass in milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, TypeVar

_Result = TypeVar("_Result")

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_MOST_TURNS = 20_000
"""So often may the loop go round while no time passes; who goes on for longer goes on for ever."""


class _Jumping(selectors.BaseSelector):
    """Waits for nobody; what it would have waited has passed."""

    def __init__(self) -> None:
        self.now = 0.0
        self._turns = 0
        self._inner = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "the loop waits for something that no timer and nobody here will bring"
        self._turns = 0 if timeout > 0 else self._turns + 1
        assert self._turns < _MOST_TURNS, "the loop goes round and round, and no time passes"
        self.now += max(0.0, timeout)
        return self._inner.select(0)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Deterministic: nothing happens in it but what is scheduled, in the order of its times."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def now(self) -> datetime:
        """The calendar's time that belongs to :meth:`time`."""
        return _EPOCH + timedelta(seconds=self.time())

    def run(self, doing: Coroutine[Any, Any, _Result]) -> _Result:
        return self.run_until_complete(doing)

    def pass_time(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def calendar(self) -> type[datetime]:
        """The class ``datetime``, but for ``now()``: that is this loop's."""
        loop = self

        class Calendar(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Calendar:
                there = loop.now().astimezone(tz)
                return cls.combine(there.date(), there.timetz())

        return Calendar

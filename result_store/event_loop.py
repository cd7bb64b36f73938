"""The event loop that the store serves in: uvloop's where that is installed, as uvicorn has it by itself.

A short answer is mostly work of the loop and of its sockets, and asyncio's own loop takes about twice as long over that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["run_serving"]

_Result = TypeVar("_Result")


def run_serving(work: Coroutine[Any, Any, _Result]) -> _Result:
    """As :func:`asyncio.run`, in that loop."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(work)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - there is none for Windows
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop

"""Errors of task groups, as a caller wants them: one. And what a task sees through before it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["finish", "first_error"]


@contextmanager
def first_error() -> Iterator[None]:
    """Raises the first error of a task group as itself: the others are its consequences, or the same fault again."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


async def finish(work: Coroutine[Any, Any, None]) -> None:
    """See something through that must not be left halfway, such as closing a connection, and only then be cancelled.

    A task group's child may be cancelled twice: a program's end cancels all tasks, and then the group its children.

    Raises:
        asyncio.CancelledError: the caller was cancelled meanwhile; the work is done.
    """
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        task.exception()  # asked for, so that nobody logs it as forgotten
        raise asyncio.CancelledError
    task.result()

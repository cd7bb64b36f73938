"""Errors of task groups, as a caller wants them: one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["first_error"]


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

"""Functions in processes of their own, forked off a clean one that has imported everything: they begin at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeVar

__all__ = ["call_in_new_process", "new_process"]

_T = TypeVar("_T")


def call_in_new_process(function: Callable[..., _T], *arguments: Any, preload: str, failure: str) -> _T:
    """What the function returns there.

    Args:
        preload: the module whose imports the clean process has.
        failure: the error's words.

    Raises:
        RuntimeError: the process failed; what it said is on standard error.
    """
    with new_process(_tell_what_it_returns, function, arguments, preload=preload) as connection:
        try:
            found: _T = connection.recv()
        except EOFError:
            raise RuntimeError(failure) from None
    return found


@contextmanager
def new_process(function: Callable[..., None], *arguments: Any, preload: str) -> Iterator[Connection]:
    """Yield a connection to a process that runs the function, with its end of the connection as the first argument.

    The block's end closes this end, and waits for the process's end.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([preload])
    here, there = context.Pipe()
    process = context.Process(target=function, args=(there, *arguments), daemon=True)
    process.start()
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.join()


def _tell_what_it_returns(there: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    there.send(function(*arguments))

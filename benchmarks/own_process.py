"""Calls a function in a process of its own, forked off a clean one that has imported everything: it begins at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

__all__ = ["call_in_new_process"]

_T = TypeVar("_T")


def call_in_new_process(function: Callable[..., _T], *arguments: Any, preload: str, failure: str) -> _T:
    """What the function returns there.

    Args:
        preload: the module whose imports the clean process has.
        failure: the error's words.

    Raises:
        RuntimeError: the process failed; what it said is on standard error.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([preload])
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_main, args=(there, function, arguments), daemon=True)
    process.start()
    there.close()
    try:
        found: _T = here.recv()
    except EOFError:
        raise RuntimeError(failure) from None
    finally:
        here.close()
        process.join()
    return found


def _main(there: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    there.send(function(*arguments))

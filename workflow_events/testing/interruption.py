"""Keeping a Ctrl-C out of the few lines that it must not tear apart."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

_HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back the signals that ask this process to end, and let them through when the block is over.

    Python raises `KeyboardInterrupt` between any two lines, so also after a child process has been started and before
    anybody has noted which: nobody could end it then. The signals are not blocked in the kernel, since a child would inherit
    that. Outside the main thread, where no signal is handled, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, _frame: Any) -> None:
        came.append(number)

    former = {number: signal.getsignal(number) for number in _HELD}
    # A handler of None was not set from Python and could not be put back.
    held = {number: handler for number, handler in former.items() if handler is not None}
    for number in held:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        for late in dict.fromkeys(came):
            signal.raise_signal(late)

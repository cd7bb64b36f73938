"""Waiting for a condition: the only way in which tests of this project let time pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tenacity

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], timeout: float, *, interval: float = 0.05, what: str | Callable[[], str] = ""
) -> T:
    """Call `condition` until it returns something true, and return that.

    Args:
        condition: is called at once, then every `interval` seconds. What it raises is passed on.
        timeout: seconds from now until the wait is given up.
        interval: seconds between two calls.
        what: what is waited for, put into the error; a function is called only when it is needed.

    Raises:
        TimeoutError: the condition did not become true in time.
    """
    try:
        return tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda value: not value),
            stop=tenacity.stop_after_delay(timeout),
            wait=tenacity.wait_fixed(interval),
        )(condition)
    except tenacity.RetryError:
        reason = what() if callable(what) else what
        raise TimeoutError(
            f"not within {timeout:g} s: {reason or getattr(condition, '__name__', 'the condition')}"
        ) from None

"""When to try again, and for how long: exponential backoff with full jitter, up to a deadline.

Only what may succeed without anybody changing anything is tried again (``TransportError.retryable``). The waits follow
"Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), so that many clients do not come back in step.

::

    for attempt in transport_retrying(timeout=10.0):
        with attempt:
            ...
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tenacity import AsyncRetrying, Retrying, retry_if_exception, stop_before_delay, wait_random_exponential

from workflow_events.errors import TransportError

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["async_transport_retrying", "transport_retrying"]

logger = logging.getLogger(__name__)

# Seconds. The first window is short because a leader's move is over in less; the last one is what a broker's restart takes.
_SHORTEST_WAIT = 0.05
_FIRST_WINDOW = 0.2
_LONGEST_WAIT = 5.0
# No single wait takes more than this share of the time-out, so that little of it is left unused at the end.
_LARGEST_SHARE = 0.2


def transport_retrying(timeout: float) -> Retrying:
    """Tries again while a retryable transport error comes, for at most ``timeout`` seconds; then raises that error.

    It does not begin a wait that would end after the time-out. ``math.inf`` tries for ever.
    """
    return Retrying(**_policy(timeout))


def async_transport_retrying(timeout: float) -> AsyncRetrying:
    """As :func:`transport_retrying`, waiting in the event loop."""
    return AsyncRetrying(**_policy(timeout))


def _policy(timeout: float) -> dict[str, Any]:
    longest = min(_LONGEST_WAIT, timeout * _LARGEST_SHARE)
    return {
        "retry": retry_if_exception(_may_pass),
        "stop": stop_before_delay(timeout),
        "wait": wait_random_exponential(multiplier=_FIRST_WINDOW, min=_SHORTEST_WAIT, max=max(_SHORTEST_WAIT, longest)),
        "before_sleep": _log,
        "reraise": True,
    }


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, TransportError) and error.retryable


def _log(state: RetryCallState) -> None:
    # Warned about at the 1st, 2nd, 4th, 8th ... failure: an outage is visible, and does not flood the log.
    seldom = state.attempt_number & (state.attempt_number - 1) == 0
    outcome = state.outcome
    logger.log(
        logging.WARNING if seldom else logging.DEBUG,
        "%s (failure %d; trying again in %.1f s)",
        outcome.exception() if outcome else "",
        state.attempt_number,
        state.upcoming_sleep,
    )

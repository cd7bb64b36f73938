"""How often one key may ask. The counting is the library limits' (a sliding window); in Redis where there is one, else here."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import limits
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from result_store.settings import variable
from workflow_events.errors import ConfigurationError

if TYPE_CHECKING:
    from result_store.settings import StoreSettings

__all__ = ["Allowance", "RateLimit"]

logger = logging.getLogger(__name__)

_PREFIX: Final = "result-store:rate"
_REDIS_SECONDS: Final = 0.5
_CONNECTIONS: Final = 20
_RETRY_SECONDS: Final = 5.0
_LOG_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller may still ask.

    Attributes:
        limit: requests in a window.
        window: its length, in seconds.
        remaining: requests that are left of it.
        reset: seconds until there are more.
        allowed: whether this one was within it.
    """

    limit: int
    window: int
    remaining: int
    reset: int
    allowed: bool

    def headers(self) -> dict[str, str]:
        """As an answer tells it: draft-ietf-httpapi-ratelimit-headers-07, and ``Retry-After`` where it is used up."""
        told = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
            "RateLimit-Policy": f"{self.limit};w={self.window}",
        }
        return told if self.allowed else {**told, "Retry-After": str(max(1, self.reset))}


class RateLimit:
    """Counts what each caller asks.

    Where Redis does not answer, each process counts for itself until it does.

    Args:
        timeout: seconds that Redis may take to answer; a limit is no reason to keep anybody waiting.

    Raises:
        ConfigurationError: the settings' ``rate_limit`` is none.
    """

    def __init__(self, settings: StoreSettings, *, timeout: float = _REDIS_SECONDS) -> None:
        self._item = _parse(settings.rate_limit)
        self._here = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._pool: BlockingConnectionPool | None = None
        self._shared: SlidingWindowCounterRateLimiter | None = None
        if settings.redis_url is not None and self._item is not None:
            url = settings.redis_url.get_secret_value()
            options: dict[str, Any] = {
                "socket_timeout": timeout,
                "socket_connect_timeout": timeout,
                "timeout": timeout,
                "max_connections": _CONNECTIONS,
            }
            self._pool = BlockingConnectionPool.from_url(url, **options)
            storage = RedisStorage(
                f"async+{url.replace('unix://', 'redis+unix://')}",
                implementation="redispy",
                key_prefix=_PREFIX,
                connection_pool=self._pool,  # type: ignore[arg-type]  # as its documentation says
            )
            self._shared = SlidingWindowCounterRateLimiter(storage)
        self._silent_until = -math.inf
        self._logged_at = -math.inf

    async def take(self, name: str) -> Allowance | None:
        """Count one request of a caller; None where there is no limit."""
        if self._item is None:
            return None
        if self._shared is not None and time.monotonic() >= self._silent_until:
            try:
                return await self._ask(self._shared, self._item, name)
            except (RedisError, OSError) as error:
                self._fall_back(error)
        return await self._ask(self._here, self._item, name)

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._pool is not None:
            await self._pool.disconnect()

    async def _ask(self, limiter: SlidingWindowCounterRateLimiter, item: limits.RateLimitItem, name: str) -> Allowance:
        allowed = await limiter.hit(item, name)
        left = await limiter.get_window_stats(item, name)
        reset = max(0, math.ceil(left.reset_time - time.time()))
        return Allowance(item.amount, item.get_expiry(), max(0, left.remaining), reset, allowed)

    def _fall_back(self, error: Exception) -> None:
        now = time.monotonic()
        self._silent_until = now + _RETRY_SECONDS
        if now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            # Its message may hold the address with the password.
            logger.warning(
                "Redis does not answer (%s): each process counts requests for itself. Check %s, and that Redis runs.",
                type(error).__name__,
                variable("redis_url"),
            )


def _parse(text: str) -> limits.RateLimitItem | None:
    if text == "none":
        return None
    try:
        return limits.parse(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{variable('rate_limit')} (rate_limit): {text!r} is no rate; name one such as 20/second or 1200/minute, or none."
        ) from error

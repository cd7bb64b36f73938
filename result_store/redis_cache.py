"""The cache that processes share, in Redis.

Beside each owner's answers stands the set of their keys, so that they can be dropped without looking for them (``KEYS`` and
``SCAN`` walk the whole database). All owners of a batch go in one pipeline; for each, a script drops the set and what it names in
one step, so that no answer slips in between.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from typing import TYPE_CHECKING, Any, Final, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from result_store.cache import MOST_BYTES, SETTLE_SECONDS
from result_store.settings import variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from result_store.cache import Outcome
    from result_store.settings import StoreSettings

__all__ = ["RedisCache"]

logger = logging.getLogger(__name__)

_PREFIX: Final = "result-store:cache:"
_TIMEOUT: Final = 1.0
_CONNECTIONS: Final = 20
_RETRY_SECONDS: Final = 5.0
"""How long a Redis that did not answer is left alone by readers; the database answers them meanwhile."""
_LOG_SECONDS: Final = 60.0
_MOST_OWED: Final = 100_000
_AT_ONCE: Final = 1000
"""Owners in one pipeline."""

# KEYS: the answer's, its owner's set, its owner's mark. ARGV: the answer, milliseconds that it is kept.
_PUT: Final = """
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('UNLINK', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SADD', KEYS[2], KEYS[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
"""
# KEYS: the owner's set and mark. ARGV: seconds that the mark stays.
_FORGET: Final = """
local kept = redis.call('SMEMBERS', KEYS[1])
for first = 1, #kept, 1000 do
  redis.call('UNLINK', unpack(kept, first, math.min(first + 999, #kept)))
end
redis.call('UNLINK', KEYS[1])
redis.call('SET', KEYS[2], '', 'EX', ARGV[1])
return #kept
"""


class RedisCache:
    """Keeps answers in Redis.

    Owners that could not be forgotten because Redis was away are forgotten with the next that can be.

    Args:
        settings: their ``redis_url`` is set.
        on_request: is told of each question.
        timeout: seconds that Redis may take to connect or to answer.
    """

    def __init__(
        self,
        settings: StoreSettings,
        *,
        on_request: Callable[[Outcome], None] = lambda _: None,
        timeout: float = _TIMEOUT,
    ) -> None:
        if settings.redis_url is None:
            raise ValueError("there is no redis_url in the settings")
        options: dict[str, Any] = {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "timeout": timeout,
            "max_connections": _CONNECTIONS,
        }
        self._pool = BlockingConnectionPool.from_url(settings.redis_url.get_secret_value(), **options)
        self._redis: Redis = Redis(connection_pool=self._pool)
        self._put = self._redis.register_script(_PUT)
        self._forget = self._redis.register_script(_FORGET)
        self._milliseconds = round(settings.cache_ttl * 1000)
        self._told = on_request
        self._owed: set[str] = set()
        self._silent_until = -math.inf
        self._logged_at = -math.inf

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    async def get(self, key: str) -> bytes | None:
        """An answer; None where there is none, or Redis does not answer."""
        if self._is_silent():
            self._told("error")
            return None
        try:
            found = cast("bytes | None", await self._redis.get(_PREFIX + key))
        except (RedisError, OSError) as error:
            self._failed(error)
            self._told("error")
            return None
        self._told("miss" if found is None else "hit")
        return found

    async def put(self, key: str, value: bytes, *, owner: str) -> None:
        """Keep an answer until its owner is forgotten, and no longer than the settings say."""
        # What was not forgotten in time must not come back: while anything is owed, nothing is put.
        if self._milliseconds <= 0 or len(value) > MOST_BYTES or self._is_silent() or self._owed:
            return
        try:
            await self._put(keys=[_PREFIX + key, *_owner_keys(owner)], args=[value, self._milliseconds])
        except (RedisError, OSError) as error:
            self._failed(error)

    async def forget(self, owners: Iterable[str]) -> None:
        """Drop all answers of these owners, now; it is tried however long Redis has been silent."""
        self._owed.update(owners)
        if len(self._owed) > _MOST_OWED:
            # Redis has been away for long: what it keeps has gone by its time.
            self._owed = set(list(self._owed)[-_MOST_OWED:])
        while self._owed:
            some = [owner for owner, _ in zip(self._owed, range(_AT_ONCE), strict=False)]
            try:
                async with self._redis.pipeline(transaction=False) as pipeline:
                    for owner in some:
                        await self._forget(keys=_owner_keys(owner), args=[SETTLE_SECONDS], client=pipeline)
                    await pipeline.execute()
            except (RedisError, OSError) as error:
                self._failed(error)
                return
            self._owed.difference_update(some)

    async def ping(self) -> None:
        """Ask whether Redis is there.

        Raises:
            ConnectionError: it is not; the message says what to check, and shows no password.
        """
        try:
            await self._redis.ping()
        except (RedisError, OSError) as error:
            raise ConnectionError(
                f"Redis does not answer ({type(error).__name__}): check {variable('redis_url')}, and that Redis runs."
            ) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
        await self._pool.disconnect()

    def _is_silent(self) -> bool:
        return time.monotonic() < self._silent_until

    def _failed(self, error: Exception) -> None:
        now = time.monotonic()
        self._silent_until = now + _RETRY_SECONDS
        if now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            # Its message may hold the address with the password.
            logger.warning(
                "the cache does not answer (%s), going on without it: check %s, and that Redis runs",
                type(error).__name__,
                variable("redis_url"),
            )


def _owner_keys(owner: str) -> list[str]:
    # By digest: an owner's name may be a thousand characters of anything.
    name = hashlib.blake2b(owner.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    return [f"{_PREFIX}of:{name}", f"{_PREFIX}settling:{name}"]

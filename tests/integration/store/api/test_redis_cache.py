"""The cache in a real Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from result_store.api.rate_limit import RateLimit
from result_store.cache import Outcome
from result_store.redis_cache import RedisCache
from result_store.settings import StoreSettings
from workflow_events.testing.processes import free_port
from workflow_events.testing.redis import RedisServer
from workflow_events.testing.tcp_proxy import TcpProxy


@pytest.fixture
def settings(redis: RedisServer) -> StoreSettings:
    return StoreSettings(redis_url=redis.new_database(), rate_limit="3/hour")


@pytest.fixture
async def client(settings: StoreSettings) -> AsyncIterator[Redis]:
    """Another client of the same database, to look behind the cache."""
    assert settings.redis_url is not None
    async with Redis.from_url(settings.redis_url.get_secret_value()) as made:
        yield made


def a_cache(settings: StoreSettings, told: list[Outcome] | None = None) -> RedisCache:
    """A cache with patience: the machine may be busy."""
    return RedisCache(settings, on_request=(told if told is not None else []).append, timeout=60)


async def test_an_owners_answers_are_dropped_without_a_search_and_nobody_elses(
    settings: StoreSettings, client: Redis
) -> None:
    told: list[Outcome] = []
    ours, theirs = a_cache(settings, told), a_cache(settings)
    # Given: one process has put answers, more of them for Ada than one command takes
    await asyncio.gather(*(ours.put(f"ada-{number}", b"1", owner="ada") for number in range(1200)))
    await ours.put("bob", b"2", owner="bob")
    before = await client.info("commandstats")

    # When: another process, which stores, forgets her and a batch
    await theirs.forget(["ada", "batch"])

    # Then: all of hers are gone and his is there, and nobody has searched the database for them
    assert [await ours.get(key) for key in ("ada-0", "ada-1199", "bob")] == [None, None, b"2"]
    assert told == ["miss", "miss", "hit"]
    assert await client.dbsize() == 4  # his answer and its set, and the marks of the two that were forgotten
    after = await client.info("commandstats")
    asked = {name for name in after if after[name]["calls"] != before.get(name, {}).get("calls", 0)}
    assert not {"cmdstat_keys", "cmdstat_scan"} & asked

    # And: a reader that began before the write cannot put what is old
    await ours.put("ada-0", b"old", owner="ada")
    assert await ours.get("ada-0") is None
    await ours.close()
    await theirs.close()


async def test_answers_and_the_sets_that_track_them_go_by_their_time(settings: StoreSettings, client: Redis) -> None:
    cache = a_cache(settings)
    await cache.put("a", b"1", owner="ada")
    await cache.forget(["bob"])
    kept = [await client.pttl(key) for key in await client.keys("*")]
    assert len(kept) == 3
    assert all(0 < left <= settings.cache_ttl * 1000 for left in kept)
    await cache.close()


async def test_a_cache_that_is_down_is_one_that_knows_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with RedisServer() as server:
        settings = StoreSettings(redis_url=server.url.replace("redis://", "redis://:hunter2@"), rate_limit="3/hour")
        plain = StoreSettings(redis_url=server.url)
        told: list[Outcome] = []
        writer, reader = a_cache(plain), a_cache(plain, told)
        await reader.put("a", b"1", owner="ada")
        assert await reader.get("a") == b"1"

        # When: it goes away, a reader asks and a writer writes
        server.kill()
        caplog.set_level(logging.WARNING)
        for _ in range(3):
            assert await reader.get("a") is None
            await reader.put("a", b"1", owner="ada")
        await writer.forget(["ada"])

        # Then: nothing is raised; it is said once, and counted
        assert told == ["hit", "error", "error", "error"]
        assert len([line for line in caplog.records if "cache does not answer" in line.message]) == 2
        with pytest.raises(ConnectionError, match="RESULT_STORE_REDIS_URL"):
            await writer.ping()

        # And: limits are counted by each process meanwhile, and no password is shown
        rate = RateLimit(settings)
        taken = [await rate.take("key:1") for _ in range(4)]
        assert [one is not None and one.allowed for one in taken] == [True, True, True, False]
        assert "hunter2" not in caplog.text
        await rate.close()

        for cache in (writer, reader):
            await cache.close()


async def test_what_could_not_be_forgotten_is_forgotten_with_the_next_that_can_be(
    redis: RedisServer, settings: StoreSettings
) -> None:
    # Given: a Redis with an answer, which the writer alone cannot reach
    assert settings.redis_url is not None
    url = settings.redis_url.get_secret_value()
    with TcpProxy(free_port(), free_port()) as proxy:
        reader = a_cache(settings)
        writer = a_cache(StoreSettings(redis_url=url.replace(f":{redis.port}/", f":{proxy.port}/")))
        await reader.put("a", b"1", owner="ada")
        await writer.forget(["ada"])
        assert await reader.get("a") == b"1"

        # When: it can, and writes again, of somebody else
        proxy.target = redis.port
        await writer.forget(["bob"])

        # Then: nothing old is left
        assert await reader.get("a") is None
        await writer.close()
        await reader.close()


async def test_processes_share_the_count_of_what_a_key_has_asked(settings: StoreSettings) -> None:
    one, other = RateLimit(settings, timeout=60), RateLimit(settings, timeout=60)
    taken = [await limit.take("key:1") for limit in (one, other, one, other)]
    assert [allowance is not None and allowance.allowed for allowance in taken] == [True, True, True, False]
    assert taken[-1] is not None
    assert int(taken[-1].headers()["Retry-After"]) >= 1
    await one.close()
    await other.close()

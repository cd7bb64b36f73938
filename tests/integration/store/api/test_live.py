"""Live events from a real topic, over a real connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr

from result_store.announcing import Announcer
from result_store.api.serving import HttpService
from result_store.errors import LiveFeedError
from result_store.live import LiveFeed
from result_store.records import Phase, RunState, StoredEvent
from result_store.settings import StoreSettings
from result_store.topics import ensure_store_topics
from tests.integration.store.api.some_api import SomeApi, some_api
from workflow_events.settings import KafkaSettings

PATIENCE = 60.0


def stored(number: int, *, user: str | None = None, batch: str = "batch-1") -> StoredEvent:
    return StoredEvent(
        correlation_id=UUID(int=number),
        workflow_id="scoring",
        workflow_run_id=batch,
        state=RunState.SUCCESS,
        phase=Phase.FINISHED,
        user_id=user,
        updated_at=datetime(2026, 11, 22, tzinfo=UTC),
    )


class Stream:
    """What an EventSource makes of a stream: events, and the last id it has seen, also of messages without data."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.last_id = ""

    async def event(self) -> StoredEvent | None:
        """The next event; None where the stream has ended."""
        data = None
        async with asyncio.timeout(PATIENCE):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last_id = value
                elif name == "data":
                    data = value
                elif not line and data is not None:
                    return StoredEvent.model_validate_json(data)
        return None

    async def numbers(self, count: int) -> list[int]:
        """The requests of the next events."""
        found = []
        for _ in range(count):
            event = await self.event()
            assert event is not None
            found.append(event.correlation_id.int)
        return found

    async def begins(self) -> str:
        """Wait for the first id, from which on nothing can be missed."""
        async with asyncio.timeout(PATIENCE):
            async for line in self._lines:
                if line.startswith("id: "):
                    self.last_id = line.removeprefix("id: ")
                    return self.last_id
        raise AssertionError("the stream ended before it began")


class Live:
    """A served API with a feed, and an announcer as the processor has one."""

    def __init__(self, api: SomeApi, url: str, feed: LiveFeed, announcer: Announcer) -> None:
        self.api = api
        self.feed = feed
        self.announcer = announcer
        self._client = httpx.AsyncClient(base_url=url, timeout=PATIENCE)

    @asynccontextmanager
    async def watching(
        self, headers: dict[str, str], last_id: str | None = None, query: str = ""
    ) -> AsyncIterator[Stream]:
        sent = headers if last_id is None else {**headers, "Last-Event-ID": last_id}
        async with self._client.stream("GET", f"/internal/v1/events{query}", headers=sent) as response:
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"].startswith("text/event-stream")
            yield Stream(response)

    async def close(self) -> None:
        await self._client.aclose()


@asynccontextmanager
async def live(kafka: KafkaSettings, folder: Path, **options: Any) -> AsyncIterator[Live]:
    topic = kafka.workflow_progress_topic.replace("progress", "stored")
    settings = {"stored_topic": topic, "api_port": 0, "metrics": False}
    await asyncio.to_thread(ensure_store_topics, kafka, StoreSettings(stored_topic=topic))
    feed = LiveFeed(kafka, topic, **options)
    announcer = Announcer(kafka, topic)
    await announcer.start()

    try:
        async with asyncio.TaskGroup() as tasks, some_api(folder, feed=feed, **settings) as api:
            tasks.create_task(feed.run())
            await feed.check(PATIENCE)
            service = HttpService(api.parts.settings, api.app, api.parts.metrics)
            async with service.serving(on_stop=feed.end):
                made = Live(api, str(service.url), feed, announcer)
                try:
                    yield made
                finally:
                    await made.close()
    finally:
        await announcer.stop()


async def test_a_client_is_told_what_is_stored_and_after_a_break_what_it_has_missed(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    # Given: little memory, so that who comes back late is told from the topic, a little at a time
    async with live(kafka_settings, tmp_path, remembered=3, chunk=4) as world:
        headers = await world.api.headers()
        async with world.watching(headers) as stream:
            await stream.begins()
            await world.announcer.announce([stored(1), stored(2)])
            assert sorted(await stream.numbers(2)) == [1, 2]
            last = stream.last_id

        # When: the client is away for a moment, and comes back
        await world.announcer.announce([stored(3)])
        async with world.watching(headers, last) as stream:
            assert await stream.numbers(1) == [3]
            last = stream.last_id

        # And: when much is stored while it is away, and some while it is told
        await world.announcer.announce([stored(number) for number in range(4, 24)])
        async with world.watching(headers, last) as stream:
            seen = await stream.numbers(5)
            await world.announcer.announce([stored(24)])
            seen += await stream.numbers(16)

        # Then: nothing is missing and nothing comes twice; a new one is told what is new alone
        assert sorted(seen) == list(range(4, 25))
        async with world.watching(headers) as stream:
            await stream.begins()
            await world.announcer.announce([stored(25)])
            assert await stream.numbers(1) == [25]

        # And: who knows nothing may have it all, by the query too, which a page uses
        everything = ",".join(f"{partition}:0" for partition in range(3))
        async with world.watching(headers, query=f"?since={everything}") as stream:
            assert sorted(await stream.numbers(25)) == list(range(1, 26))


async def test_a_user_hears_of_their_own_and_only_of_what_they_ask_for_while_their_key_holds(
    embedded_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live(embedded_settings, tmp_path) as world:
        ada = await world.api.headers(user_id="ada")
        everybody = await world.api.headers()
        async with world.watching(ada) as hers, world.watching(everybody, query="?workflow_run_id=b") as batch:
            start = await hers.begins()
            await batch.begins()
            await world.announcer.announce([stored(1, user="bob"), stored(2, user="ada"), stored(3, batch="b")])
            assert await hers.numbers(1) == [2]
            assert await batch.numbers(1) == [3]

        # The past is hers alone, too.
        await world.announcer.announce([stored(4, user="bob"), stored(5, user="ada")])
        async with world.watching(ada, start) as hers:
            assert sorted(await hers.numbers(2)) == [2, 5]

            # When the key is revoked, nothing more is told.
            monkeypatch.setattr("result_store.api.events._CHECK_SECONDS", 0.0)
            await world.api.app.state.gate._keys.revoke(ada["X-Internal-API-Key"].split("_")[1])
            await world.announcer.announce([stored(6, user="ada")])
            assert await hers.event() is None

        answer = await world.api.get("/internal/v1/events", {**everybody, "Last-Event-ID": "nonsense"})
        assert (answer.status_code, "Last-Event-ID" in answer.text) == (422, True)
        assert (await world.api.get("/internal/v1/events")).status_code == 401


async def test_streams_end_when_the_server_stops_and_no_more_begin(
    embedded_settings: KafkaSettings, tmp_path: Path
) -> None:
    async with asyncio.timeout(PATIENCE):
        stack = live(embedded_settings, tmp_path, most_watching=1)
        world = await stack.__aenter__()
        headers = await world.api.headers()
        async with world.watching(headers) as stream:
            await stream.begins()
            with pytest.raises(LiveFeedError, match="1 clients watch already"):
                await world.feed.check()
            # When: the feed ends, as it does when the server is told to stop
            world.feed.end()
            # Then: so does the stream, in good order
            assert await stream.event() is None
        refused = await world.api.get("/internal/v1/events", headers)
        assert (refused.status_code, "stopping" in refused.text) == (503, True)
        await stack.__aexit__(None, None, None)


async def test_a_client_that_does_not_read_is_sent_away_and_loses_nothing(
    embedded_settings: KafkaSettings, tmp_path: Path
) -> None:
    async with live(embedded_settings, tmp_path, queue=5) as world:
        # Given: somebody who takes the first message and nothing more
        slow = world.feed.watch(None)
        cursor, nothing = await anext(slow)
        assert nothing is None
        # When: more comes than may wait
        async with aclosing(world.feed.watch(None)) as quick:
            await anext(quick)
            for number in range(1, 13):
                await world.announcer.announce([stored(number)])
                async with asyncio.timeout(PATIENCE):
                    await anext(quick)
        # Then: the stream ends; from where it was, all can be had
        with pytest.raises(StopAsyncIteration):
            await anext(slow)
        assert world.feed.watching == 0
        seen = []
        async with asyncio.timeout(PATIENCE), aclosing(world.feed.watch(cursor)) as again:
            async for _, record in again:
                if record is not None:
                    seen.append(record.event.correlation_id.int)
                if len(seen) == 12:
                    break
        assert sorted(seen) == list(range(1, 13))


async def test_what_is_not_signed_is_not_told(embedded_settings: KafkaSettings, tmp_path: Path) -> None:
    keyed = embedded_settings.replace(signing_keys=SecretStr("k1:" + "ab" * 32))
    async with live(keyed, tmp_path) as world:
        forger = Announcer(embedded_settings, world.api.parts.settings.stored_topic)
        await forger.start()
        async with world.watching(await world.api.headers()) as stream:
            await stream.begins()
            await forger.announce([stored(number) for number in range(100, 110)])
            await world.announcer.announce([stored(1), stored(2)])
            assert sorted(await stream.numbers(2)) == [1, 2]
        await forger.stop()


async def test_a_topic_that_is_not_there_yet_is_waited_for(embedded_settings: KafkaSettings) -> None:
    topic = embedded_settings.workflow_progress_topic.replace("progress", "later")
    feed = LiveFeed(embedded_settings.replace(connect_timeout=1.0), topic)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(feed.run())
        with pytest.raises(LiveFeedError, match="not being read"):
            await feed.check(0.1)
        with pytest.raises(LiveFeedError, match=topic):
            await feed.probe()
        await asyncio.to_thread(ensure_store_topics, embedded_settings, StoreSettings(stored_topic=topic))
        await feed.check(PATIENCE)
        await feed.probe()
        feed.end()


async def test_a_feed_that_breaks_ends_its_streams_and_says_so(embedded_settings: KafkaSettings) -> None:
    # Given: a feed that will break over the first event
    topic = embedded_settings.workflow_progress_topic.replace("progress", "broken")
    await asyncio.to_thread(ensure_store_topics, embedded_settings, StoreSettings(stored_topic=topic))

    def broken(_: object) -> None:
        raise RuntimeError("broken")

    feed, announcer = LiveFeed(embedded_settings, topic, on_stored=broken), Announcer(embedded_settings, topic)
    reading = asyncio.create_task(feed.run())
    await feed.check(PATIENCE)
    await announcer.start()
    async with asyncio.timeout(PATIENCE), aclosing(feed.watch(None)) as stream:
        await anext(stream)
        # When: it breaks
        await announcer.announce([stored(1)])
        # Then: nobody waits in vain, and readiness tells
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        with pytest.raises(RuntimeError, match="broken"):
            await reading
    with pytest.raises(LiveFeedError, match="has ended"):
        await feed.probe()
    await announcer.stop()

"""A client that is cancelled while it connects leaves nothing open, whatever it was just asking."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from workflow_events import KafkaSettings
from workflow_events.transport import aio

_PATIENCE = 30.0


class Gate:
    """Stands before a broker, lets the first request of each connection through, and holds the second."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._broker = bootstrap_servers.rsplit(":", 1)
        self.holding = asyncio.Event()
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._broker
        from_broker, to_broker = await asyncio.open_connection(host, int(port))
        try:
            to_broker.write(await _frame(reader))
            writer.write(await _frame(from_broker))
            await _frame(reader)
            self.holding.set()
            assert await reader.read() == b""
            self.left.set()
        finally:
            for one in (to_broker, writer):
                one.close()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    size = await reader.readexactly(4)
    return size + await reader.readexactly(struct.unpack(">i", size)[0])


@asynccontextmanager
async def gate_before(settings: KafkaSettings) -> AsyncIterator[tuple[Gate, KafkaSettings]]:
    gate = Gate(settings.bootstrap_servers)
    async with await asyncio.start_server(gate.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield gate, settings.model_copy(update={"bootstrap_servers": f"127.0.0.1:{port}"})


@pytest.mark.parametrize("ended_by", ["cancel", "connect_timeout"])
async def test_the_connection_that_asks_for_the_clusters_metadata_is_closed(
    kafka_settings: KafkaSettings, ended_by: str
) -> None:
    # Given a consumer that has connected and asks for the cluster's metadata, which does not come
    changed = kafka_settings.model_copy(update={"connect_timeout": 2.0 if ended_by == "connect_timeout" else 60.0})
    async with gate_before(changed) as (gate, settings), asyncio.timeout(_PATIENCE):
        starting = asyncio.ensure_future(aio.start_consumer(settings, settings.workflow_results_topic))
        await gate.holding.wait()
        # When it is cancelled, or its time is over
        if ended_by == "cancel":
            starting.cancel()
        await asyncio.wait([starting])
        assert starting.cancelled() or starting.exception() is not None
        # Then the broker's side sees it go
        await gate.left.wait()

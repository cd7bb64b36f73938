"""A network between two processes on one machine, which can be cut, slowed down and torn.

Idea: Toxiproxy (Shopify). A proxy stands at the address that the server advertises and passes bytes on. It runs in a thread
with an event loop of its own, so that a test that blocks does not hold the bytes up.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from workflow_events.testing.processes import LOOPBACK

_CHUNK = 65_536  # bytes
_PATIENCE = 10.0  # seconds that the thread gets to start, to obey or to end
_END = b""
_MOST_UNDER_WAY = 256  # chunks that are on their way at once, before the sender is made to wait


class TcpProxy:
    """Passes TCP connections on from one port of 127.0.0.1 to another, as a context manager.

    Args:
        port: where it listens.
        target: where it passes on to. Nobody needs to listen there yet: a connection that cannot be made is closed.

    Attributes:
        passed: bytes that have been passed on, in both directions.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.target = target
        self.passed = 0
        self._delay = 0.0
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy {port}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    def cut(self) -> None:
        """Let nothing through from now on, in silence: connections stay, and what is sent is held back, as by a lost route."""
        self._call(self._open.clear)

    def mend(self) -> None:
        """Let everything through again, what was held back first, as TCP does which has sent it again and again."""
        self._call(self._open.set)

    def delay(self, seconds: float) -> None:
        """Have each chunk of bytes under way for so long from now on, in each direction; 0 for no delay."""
        self._call(lambda: setattr(self, "_delay", seconds))

    def tear(self) -> None:
        """Reset all connections that there are; new ones are taken."""

        def reset() -> None:
            for writer in tuple(self._writers):
                # Without this the end would come as an end in good order. See socket(7): linger for no time, and reset.
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()

        self._call(reset)

    def _call(self, action: Callable[[], object]) -> None:
        async def run() -> None:
            action()

        self._do(run())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    async def _listen(self) -> None:
        self._open.set()
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:  # pragma: no cover - asyncio runs this in a task
            return
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # a connection that ends, however it ends, is the two ends' to notice; asyncio logs a cancelled one as an error
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        there_reader, there_writer = await asyncio.open_connection(LOOPBACK, self.target)
        self._writers.add(there_writer)
        ways = [
            asyncio.ensure_future(way) for way in (self._pass(reader, there_writer), self._pass(there_reader, writer))
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            there_writer.transport.abort()
            self._writers.discard(there_writer)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on in order, each chunk at its time of arrival plus the delay of then."""
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_UNDER_WAY)

        async def deliver() -> None:
            while True:
                due, data = await under_way.get()
                await asyncio.sleep(due - loop.time())
                await self._open.wait()
                if data is _END:
                    return
                writer.write(data)
                self.passed += len(data)
                await writer.drain()

        delivering = asyncio.ensure_future(deliver())
        try:
            while data := await reader.read(_CHUNK):
                await under_way.put((loop.time() + self._delay, data))
            await under_way.put((loop.time() + self._delay, _END))
            await delivering
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

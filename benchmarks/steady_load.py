"""Requests at a steady rate, whether or not the server keeps up, and how long each took from when it was due.

A client that waits for one answer before it asks again asks a slow server less often, and so hides its worst ("coordinated
omission": Gil Tene). Here each request has its time, and a late one's wait counts. Where a connection was free in time, what the
client's own timer is late by does not: added to the slow and the fast alike, it would make them look more alike than they are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

__all__ = ["latencies"]

_CONNECTIONS = 16


async def latencies(
    address: str, paths: Iterator[str], *, rate: float, count: int, headers: Mapping[str, str]
) -> list[float]:
    """Seconds that each of ``count`` requests took. Every answer must be a 200.

    Args:
        address: the server's, as ``http://host:port``.
        paths: one for each request.
        rate: requests a second.
    """
    host, port = urlsplit(address).hostname or "", urlsplit(address).port or 80
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    connections = [await asyncio.open_connection(host, port) for _ in range(_CONNECTIONS)]
    begin = time.perf_counter() + 0.05
    due = iter([begin + number / rate for number in range(count)])
    taken: list[float] = []

    async def ask_in_turn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for at in due:  # shared: whoever is free takes the next
            path = next(paths)
            begun = at
            if (early := at - time.perf_counter()) > 0:
                await asyncio.sleep(early)
                begun = max(at, time.perf_counter())
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{lines}\r\n".encode())
            await _read_answer(reader, path)
            taken.append(time.perf_counter() - begun)

    try:
        await asyncio.gather(*(ask_in_turn(*connection) for connection in connections))
    finally:
        for _, writer in connections:
            writer.close()
    return taken


async def _read_answer(reader: asyncio.StreamReader, path: str) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    assert " 200 " in head.partition("\r\n")[0], f"{path}: {head}"
    fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    await reader.readexactly(int(fields["content-length"]))

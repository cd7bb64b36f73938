"""Side by side with Spring Kafka's ``ReplyingKafkaTemplate``, which is what request and reply over Kafka is in Java.

Both send the same requests, of about 500 bytes and alike but for the ids in them, to the same topic of the same broker. The same
responder answers both; it cannot tell who asks, for the template is told the names of our headers and sends the id as text.
Each has a reply topic of its own, is warm, and keeps 1, 100 or 1,000 requests under way; the next is sent when a reply comes.
They run in turn, Spring in a JVM that lives through all the rounds.

Both publish with ``acks=all``. Everything else is left as each has it, and differs:

- *Idempotence.* Both producers are idempotent where the broker can. The embedded broker cannot; ours sees to it by itself,
  Spring's is told.
- *Linger.* Kafka's Java producer has waited 5 ms for company before it sends a batch since 4.0 (KIP-1030); aiokafka does not
  wait. So Spring is measured twice: as it comes, and with ``linger.ms=0``.
- *Reading.* The template's container is a consumer in a group that reads in a thread of its own, and after every poll's records
  commits, waiting for that. Our reader has no group and commits nothing. The broker holds an empty fetch for up to 500 ms for
  Java, and for 100 ms for ours. On Apache Kafka a record ends the wait, on the embedded broker it does not: there Spring is
  told 100 ms too, and one request alone measures the half of that and little else.
- *Work on a reply.* The template hands out the reply's bytes, and reads no more than its header. Ours decodes and validates it,
  and gives an event. Requests are validated by ours, and put together from a finished text by Spring's harness.
- *After a crash.* The template's pending requests are on the heap, and gone. Ours can be taken up by another process. That is
  not measured here, but it is paid for.

The responder is in Python and on the same machine, as is the broker: with much in flight the faster side waits for it, so that
a ratio may say less than the whole difference.
"""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.echo import echoing
from benchmarks.measuring import Figure, tell_progress
from workflow_events import AsyncWorkflowClient
from workflow_events.requests import prepare_request
from workflow_events.testing.kafka_distribution import java_program
from workflow_events.testing.new_topics import settings_with_new_topics
from workflow_events.testing.unavailable import PartUnavailableError

if TYPE_CHECKING:
    from workflow_events import KafkaSettings

__all__ = ["build", "measure"]

_PROJECT = Path(__file__).parent / "spring"
_HARNESS = "benchmarks.ReplyingTemplateHarness"
_DATA = {"text": "x" * 150}
_REQUESTS = {1: 500, 100: 5_000, 1_000: 10_000}
"""Of one round, by how many are in flight."""
_EMBEDDED_REQUESTS = {1: 100}
"""The same, where the embedded broker lets each take 50 ms."""
_WARM_UP_REQUESTS = 30_000
"""The JVM's optimizing compiler takes up what has run ten thousand times."""
_START_SECONDS = 90.0
_OURS = "ours"
_SPRING: dict[str, Mapping[str, str]] = {
    "Spring Kafka": {},
    "Spring Kafka, linger.ms=0": {"producer.linger.ms": "0"},
}
_EMBEDDED = {
    "producer.enable.idempotence": "false",
    "consumer.fetch.max.wait.ms": "100",
    # A group's first member waits for others for half its session's time-out there; this only shortens the start.
    "consumer.session.timeout.ms": "6000",
}
_EVEN = 0.05


@dataclass(frozen=True, slots=True)
class _Round:
    requests_per_second: float
    p50_ms: float
    p99_ms: float


_Side = Callable[[int, int], Awaitable[_Round]]
"""Takes how many are in flight, and how many requests there are."""


async def measure(settings: KafkaSettings, broker: str, runs: int, scale: float) -> AsyncIterator[Figure]:
    """Requests a second, p50 and p99, with 1, 100 and 1,000 in flight.

    Raises:
        PartUnavailableError: Java or Maven is missing, or what they need is.
    """
    classpath = await asyncio.to_thread(build)
    with echoing(settings):
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(AsyncWorkflowClient(settings))
            sides: dict[str, _Side] = {_OURS: _ours(client)}
            for name, options in _SPRING.items():
                given = {**options, **(_EMBEDDED if broker == "embedded" else {})}
                sides[name] = await stack.enter_async_context(_spring(settings, classpath, given))
            for side in sides.values():
                await side(100, max(100, int(_WARM_UP_REQUESTS * scale)))
            counts = {**_REQUESTS, **(_EMBEDDED_REQUESTS if broker == "embedded" else {})}
            for in_flight, requests in counts.items():
                count = max(in_flight * 2, int(requests * scale))
                rounds = await _in_turn(sides, in_flight, count, runs)
                for name in _SPRING:
                    for figure in _figures(broker, in_flight, name, rounds[_OURS], rounds[name]):
                        yield figure


async def _in_turn(sides: Mapping[str, _Side], in_flight: int, count: int, runs: int) -> dict[str, list[_Round]]:
    """So many rounds of each, after one that does not count; who begins changes."""
    rounds: dict[str, list[_Round]] = {name: [] for name in sides}
    for number in range(-1, runs):
        tell_progress(f"{in_flight} in flight", number + 1, runs + 1)
        for name in sides if number % 2 else reversed([*sides]):
            taken = await sides[name](in_flight, count)
            if number >= 0:
                rounds[name].append(taken)
    return rounds


def _figures(broker: str, in_flight: int, name: str, ours: list[_Round], spring: list[_Round]) -> list[Figure]:
    made = []
    for what, unit, value, more_is_better in (
        ("requests a second", "requests/s", attrgetter("requests_per_second"), True),
        ("p50", "ms", attrgetter("p50_ms"), False),
        ("p99", "ms", attrgetter("p99_ms"), False),
    ):
        about = f"request to result, {in_flight:,} in flight, {what}"
        figure = Figure(about, broker, [*map(value, ours)], [*map(value, spring)], name, unit)
        made.append(replace(figure, note=_winner(figure.ratio, more_is_better=more_is_better)))
    return made


def _winner(ratio: float, *, more_is_better: bool) -> str:
    if abs(ratio - 1) <= _EVEN:
        return "even"
    return "ours wins" if (ratio > 1) == more_is_better else "Spring wins"


def _ours(client: AsyncWorkflowClient) -> _Side:
    async def run(in_flight: int, count: int) -> _Round:
        taken: list[float] = []
        left = iter(range(count))

        async def asker() -> None:
            for _ in left:
                began = time.perf_counter()
                await client.request("bench", _DATA, timeout=60)
                taken.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(asker() for _ in range(in_flight)))
        seconds = time.perf_counter() - began
        taken.sort()
        return _Round(count / seconds, _percentile(taken, 50) * 1000, _percentile(taken, 99) * 1000)

    return run


def _percentile(ordered: list[float], percent: int) -> float:
    """By nearest rank, as Spring's harness has it."""
    return ordered[math.ceil(percent / 100 * len(ordered)) - 1]


@asynccontextmanager
async def _spring(settings: KafkaSettings, classpath: str, options: Mapping[str, str]) -> AsyncIterator[_Side]:
    """Spring's harness in a JVM, for as long as the block lasts."""
    own = settings_with_new_topics(settings.bootstrap_servers, topic_partitions=settings.topic_partitions)
    request = prepare_request(settings, "bench", _DATA, cursor={}, timeout=3600, source="fastapi")
    arguments = {
        "bootstrap.servers": settings.bootstrap_servers,
        "topic": settings.workflow_events_topic,
        "reply-topic": own.workflow_results_topic,
        "body": request.message.value.decode(),
        "id": str(request.pending.correlation_id),
        **options,
    }
    process = await asyncio.create_subprocess_exec(
        *(java_program(), "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classpath, _HARNESS),
        *(f"{name}={value}" for name, value in arguments.items()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    async def line() -> str:
        said = (await stdout.readline()).decode()
        if not said:
            raise RuntimeError("Spring's harness has ended; what it said is on standard error")
        return said

    async def run(in_flight: int, count: int) -> _Round:
        stdin.write(f"{in_flight} {count}\n".encode())
        return _Round(**json.loads(await line()))

    try:
        async with asyncio.timeout(_START_SECONDS):
            assert await line() == "ready\n"
        yield run
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def build(*, fetch: bool = True) -> str:
    """Build the harness; its class path.

    Args:
        fetch: whether what Maven has not fetched before may be fetched now.

    Raises:
        PartUnavailableError: Java or Maven is missing, or what they need is.
    """
    java_program()
    maven = shutil.which("mvn")
    if maven is None:
        raise PartUnavailableError("Spring Kafka is fetched and built by Maven, and no mvn is on the path")
    command = [maven, "--quiet", "--batch-mode", "--file", str(_PROJECT / "pom.xml"), "package"]
    said = ""
    for attempt in [[*command, "--offline"], *([command] if fetch else [])]:
        done = subprocess.run(attempt, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode == 0:
            return f"{_PROJECT / 'target' / 'classes'}:{_PROJECT / 'target' / 'libs' / '*'}"
        said = done.stdout + done.stderr
    raise PartUnavailableError(f"Maven could not build Spring Kafka's harness:\n{said}")

"""What Kafka costs a worker: a trivial graph for requests, against the same graph called in a loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, TypedDict

from confluent_kafka import Producer
from langgraph.graph import START, StateGraph

from benchmarks.measuring import Figure, compare
from langgraph_integration import WorkflowWorker
from langgraph_integration.worker_settings import WorkerSettings
from workflow_events.replies import topic_log
from workflow_events.requests import prepare_request
from workflow_events.testing.new_topics import settings_with_new_topics

if TYPE_CHECKING:
    from workflow_events import KafkaSettings

__all__ = ["measure"]


class State(TypedDict, total=False):
    """A number, and the number after it."""

    n: int
    m: int


async def measure(settings: KafkaSettings, broker: str, runs: int, scale: float) -> AsyncIterator[Figure]:
    """Runs a second of a graph with two nodes and no checkpointer."""
    count = max(50, int(2_000 * scale))
    builder = StateGraph(State)
    builder.add_node("one", _one)
    builder.add_node("two", _two)
    builder.add_edge(START, "one")
    builder.add_edge("one", "two")
    graph = builder.compile()

    async def baseline() -> float:
        began = time.perf_counter()
        for n in range(count):
            await graph.ainvoke({"n": n})
        return count / (time.perf_counter() - began)

    async def ours() -> float:
        fresh = settings_with_new_topics(settings.bootstrap_servers, topic_partitions=settings.topic_partitions)
        await asyncio.to_thread(_ask, fresh, count)
        options = WorkerSettings(group_id=fresh.workflow_events_topic)
        topic = fresh.workflow_results_topic
        async with topic_log.open_log(fresh, topic) as consumer:
            topic_log.assign_at(consumer, topic, dict.fromkeys(topic_log.partitions(consumer, topic), 0))
            async with WorkflowWorker(fresh, {"bench": graph}, worker_settings=options).running():
                began = time.perf_counter()
                seen = 0
                while seen < count:
                    seen += sum(map(len, (await consumer.getmany(timeout_ms=100)).values()))
                return count / (time.perf_counter() - began)

    yield await compare(
        f"worker, {count:,} runs of a graph with 2 nodes",
        broker,
        ours,
        baseline,
        runs=runs,
        baseline_name="bare ainvoke in a loop",
        unit="runs/s",
        target=">= 0.6",
    )


def _one(state: State) -> State:
    return {"m": state["n"] + 1}


def _two(state: State) -> State:
    return {"m": state["m"] + 1}


def _ask(settings: KafkaSettings, count: int) -> None:
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "linger.ms": 20})
    for n in range(count):
        message = prepare_request(settings, "bench", {"n": n}, cursor={}, timeout=600, source="fastapi").message
        producer.produce(message.topic, message.value, key=message.key, headers=[*message.headers])
    assert producer.flush(60) == 0

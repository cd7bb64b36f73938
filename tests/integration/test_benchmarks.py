"""The comparisons with others' products run, and say something that makes sense. How fast anybody is, is not asked here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from benchmarks import alternatives, spring_kafka
from benchmarks.alternatives_process import Job, a_triggerer
from benchmarks.echo import echoing
from benchmarks.measuring import Figure
from workflow_events.testing.new_topics import new_topics, settings_with_new_topics
from workflow_events.testing.unavailable import PartUnavailableError

if TYPE_CHECKING:
    from benchmarks.suites import Measure
    from workflow_events.settings import KafkaSettings
    from workflow_events.testing.embedded import EmbeddedBroker

PARTITIONS = 2


@pytest.fixture
def settings(embedded_broker: EmbeddedBroker) -> Iterator[KafkaSettings]:
    with new_topics(embedded_broker.bootstrap_servers, topic_partitions=PARTITIONS) as made:
        yield made


def afresh(settings: KafkaSettings) -> KafkaSettings:
    """The same, with another result topic."""
    new = settings_with_new_topics(settings.bootstrap_servers, topic_partitions=PARTITIONS)
    return settings.model_copy(update={"workflow_results_topic": new.workflow_results_topic})


def figures_of(measure: Measure, settings: KafkaSettings, scale: float) -> list[Figure]:
    async def collect() -> list[Figure]:
        return [figure async for figure in measure(settings, "embedded", 1, scale)]

    return asyncio.run(collect())


def test_alternatives_are_compared_and_none_of_our_replies_is_lost(
    settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alternatives, "_LEAST_LIMIT", 8.0)  # each of three that are lost takes it all; ours may be slow
    figures = figures_of(alternatives.measure, settings, scale=0.01)

    against = {figure.baseline_name for figure in figures if figure.unit == "replies/s"}
    assert against == {
        "AwaitMessageTrigger, as shipped",
        "AwaitMessageTrigger, a group each",
        "AwaitMessageTrigger, tuned",
        "a consumer each, at latest",
        "a consumer each, from the cursor",
    }
    (complete,) = [figure for figure in figures if figure.baseline_name == "all who asked"]
    assert complete.ours == complete.baseline == [1.0]
    # A member of one group for all, at the end of the topic, and asleep after each stranger, gets nothing within the limit.
    (shipped,) = [figure for figure in figures if figure.baseline_name.endswith("shipped") and figure.unit != "count"]
    assert "with 0 of 1 replies" in shipped.note
    assert len({(figure.name, figure.baseline_name) for figure in figures}) == len(figures)


def test_everybody_gets_their_own_reply_after_a_process_that_failed(settings: KafkaSettings) -> None:
    # Given three who ask, and strangers
    job = Job(settings, waiters=3, strangers=30, limit=30)

    async def wait() -> None:
        with echoing(settings), a_triggerer() as triggerer:
            # When a process fails, that is said
            with pytest.raises(RuntimeError, match="no such way failed with 3 waiters"):
                await triggerer.do("no such way", job)
            # And when the next wait with one reader, and then each with a consumer
            shared = await triggerer.do("ours", job)
            theirs = await triggerer.do("a consumer each, from the cursor", replace(job, settings=afresh(settings)))
        # Then all have their own
        assert (shared.had, shared.stopped) == (theirs.had, theirs.stopped) == (3, False)

    asyncio.run(wait())


def test_spring_kafka_is_measured_side_by_side(settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        classpath = spring_kafka.build(fetch=False)
    except PartUnavailableError as error:
        pytest.skip(f"Spring Kafka has not been fetched here (python -m benchmarks --only spring): {error}"[:300])
    monkeypatch.setattr(spring_kafka, "build", lambda: classpath)
    monkeypatch.setattr(spring_kafka, "_REQUESTS", {1: 2, 100: 200})
    monkeypatch.setattr(spring_kafka, "_SPRING", {"Spring Kafka": {}})

    figures = figures_of(spring_kafka.measure, settings, scale=0.01)

    assert [figure.unit for figure in figures] == ["requests/s", "ms", "ms"] * 2
    assert all(figure.note in {"ours wins", "Spring wins", "even"} for figure in figures)
    assert all(value > 0 for figure in figures for value in figure.ours + figure.baseline)


def test_without_maven_spring_kafka_is_left_out_in_words(
    settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name, **_: None if name == "mvn" else f"/bin/{name}")

    with pytest.raises(PartUnavailableError, match="no mvn is on the path"):
        figures_of(spring_kafka.measure, settings, scale=0.01)

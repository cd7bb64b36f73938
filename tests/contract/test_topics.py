"""Topics are made, found, compared and left alone, on every broker."""

from __future__ import annotations

import logging
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from workflow_events.errors import ConfigurationError
from workflow_events.settings import KafkaSettings
from workflow_events.testing.kafka_sources import Broker
from workflow_events.topics import TopicOutcome, ensure_topics, topic_specs
from workflow_events.transport import blocking


@pytest.fixture
def settings(kafka_broker: Broker) -> KafkaSettings:
    """Settings whose topics do not exist yet."""
    tag = uuid.uuid4().hex[:12]
    return KafkaSettings(
        _env_file=None,
        bootstrap_servers=kafka_broker.bootstrap_servers,
        workflow_events_topic=f"events-{tag}",
        workflow_results_topic=f"results-{tag}",
        workflow_progress_topic=f"progress-{tag}",
        workflow_control_topic=f"control-{tag}",
        topic_partitions=3,
        topic_retention=3600,
    )


def test_missing_topics_are_reported_and_not_made_by_looking(settings: KafkaSettings) -> None:
    for _ in range(2):
        reports = ensure_topics(settings, create=False)

        assert {report.outcome for report in reports} == {TopicOutcome.MISSING}
        assert not any(report.ok for report in reports)


def test_missing_topics_are_made_as_the_settings_ask(settings: KafkaSettings) -> None:
    made = ensure_topics(settings)
    checked = ensure_topics(settings, create=False)

    assert [report.name for report in made] == [spec.name for spec in topic_specs(settings)]
    assert {report.outcome for report in made} == {TopicOutcome.CREATED}
    assert {report.outcome for report in checked} == {TopicOutcome.EXISTS}
    assert all(report.ok for report in (*made, *checked)), checked
    assert [report.partitions for report in checked] == [3, 3, 3, 3, 1, 1, 1]


def test_making_them_again_makes_nothing(settings: KafkaSettings) -> None:
    ensure_topics(settings)

    again = ensure_topics(settings)

    assert {report.outcome for report in again} == {TopicOutcome.EXISTS}
    assert all(report.ok for report in again)


def test_only_the_missing_topic_is_made(settings: KafkaSettings) -> None:
    ensure_topics(settings)
    other = settings.replace(workflow_progress_topic=f"{settings.workflow_progress_topic}-other")

    reports = ensure_topics(other)

    assert [report.name for report in reports if report.outcome is TopicOutcome.CREATED] == [
        other.workflow_progress_topic
    ]


def test_many_processes_may_make_them_at_once(settings: KafkaSettings) -> None:
    with ThreadPoolExecutor(6) as pool:
        runs = list(pool.map(lambda _: ensure_topics(settings), range(6)))

    made = [report.name for reports in runs for report in reports if report.outcome is TopicOutcome.CREATED]
    assert sorted(made) == sorted(spec.name for spec in topic_specs(settings))
    assert all(report.ok for reports in runs for report in reports)


def test_a_topic_that_differs_is_reported_warned_about_and_left_as_it_is(
    settings: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    topic = settings.workflow_events_topic
    _make(settings, topic, partitions=1)

    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            reports = ensure_topics(settings)

        report = next(report for report in reports if report.name == topic)
        assert report.outcome is TopicOutcome.EXISTS
        assert report.partitions == 1
        assert ("partitions", "3", "1") in [(d.setting, d.wanted, d.found) for d in report.differences]
        assert not report.ok
        warnings = [record.getMessage() for record in caplog.records if record.name == "workflow_events.topics"]
        assert len(warnings) == 1
        assert topic in warnings[0]
        assert "partitions is 1" in warnings[0]


@pytest.mark.kafka_brokers("apache")
def test_what_the_broker_tells_of_a_topic_s_configs_is_compared(settings: KafkaSettings) -> None:
    _make(
        settings,
        settings.workflow_events_topic,
        partitions=3,
        configs={"retention.ms": "1000", "message.timestamp.type": "CreateTime", "max.message.bytes": "1000"},
    )

    report = ensure_topics(settings.replace(topic_min_insync_replicas=2))[0]

    assert {difference.setting: difference.found for difference in report.differences} == {
        "max.message.bytes": "1000",
        "message.timestamp.type": "CreateTime",
        "min.insync.replicas": "1",
        "retention.ms": "1000",
    }


@pytest.mark.kafka_brokers("apache")
def test_more_replicas_than_brokers_is_an_error_of_the_settings(settings: KafkaSettings) -> None:
    with pytest.raises(ConfigurationError, match="KAFKA_TOPIC_REPLICATION_FACTOR"):
        ensure_topics(settings.replace(topic_replication_factor=3))


def _make(settings: KafkaSettings, topic: str, *, partitions: int, configs: dict[str, str] | None = None) -> None:
    with closing(blocking.new_admin(settings)) as admin:
        admin.create_topics(
            {topic: {"num_partitions": partitions, "replication_factor": 1, "configs": configs or {}}},
            wait_for_metadata=True,
        )

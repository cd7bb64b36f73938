"""What the topics should be like, and where an existing one differs."""

from __future__ import annotations

from workflow_events.settings import KafkaSettings
from workflow_events.topics import TopicDifference, TopicOutcome, TopicReport, TopicSpec, differences, topic_specs

SPEC = TopicSpec(
    "a-topic",
    partitions=6,
    replication_factor=3,
    configs={"retention.ms": "1000", "max.message.bytes": "100", "min.insync.replicas": "2"},
)


def test_every_topic_that_a_group_works_through_has_a_dead_letter_topic_of_one_partition() -> None:
    sizes = {spec.name: spec.partitions for spec in topic_specs(KafkaSettings(topic_partitions=12))}

    assert sizes == {
        "workflow-events": 12,
        "workflow-results": 12,
        "workflow-control": 12,
        "workflow-progress": 12,
        "workflow-events.dlq": 1,
        "workflow-results.dlq": 1,
        "workflow-control.dlq": 1,
    }


def test_the_settings_become_the_topics_configs() -> None:
    settings = KafkaSettings(
        topic_retention=3600,
        topic_replication_factor=3,
        topic_min_insync_replicas=2,
        max_message_bytes=2_000_000,
    )

    for spec in topic_specs(settings):
        assert spec.replication_factor == 3
        assert spec.configs == {
            "cleanup.policy": "delete",
            "max.message.bytes": "2000000",
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": "2",
            "retention.ms": "3600000",
        }


def test_what_the_settings_leave_open_is_left_to_the_broker() -> None:
    spec = topic_specs(KafkaSettings())[0]

    assert spec.replication_factor is None
    assert "min.insync.replicas" not in spec.configs


def test_a_topic_as_it_should_be_does_not_differ() -> None:
    assert differences(SPEC, partitions=6, replicas=3, configs=dict(SPEC.configs)) == ()


def test_each_difference_is_told_with_what_was_wanted_and_what_was_found() -> None:
    found = differences(SPEC, partitions=1, replicas=1, configs={"retention.ms": "5", "max.message.bytes": "10"})

    assert found == (
        TopicDifference("partitions", "6", "1"),
        TopicDifference("replication.factor", "3", "1"),
        TopicDifference("max.message.bytes", "100", "10"),
        TopicDifference("retention.ms", "1000", "5"),
    )
    assert str(found[0]) == "partitions is 1, the settings ask for 6"


def test_more_room_and_more_safety_than_asked_for_is_no_difference() -> None:
    configs = {"retention.ms": "1000", "max.message.bytes": "200", "min.insync.replicas": "3"}

    assert differences(SPEC, partitions=6, replicas=3, configs=configs) == ()


def test_a_broker_that_tells_no_configs_is_taken_at_its_silence() -> None:
    assert differences(SPEC, partitions=6, replicas=None, configs={}) == ()


def test_a_report_is_well_only_if_the_topic_is_there_and_does_not_differ() -> None:
    difference = (TopicDifference("partitions", "6", "1"),)

    assert TopicReport("t", TopicOutcome.CREATED, 6).ok
    assert TopicReport("t", TopicOutcome.EXISTS, 6).ok
    assert not TopicReport("t", TopicOutcome.EXISTS, 1, difference).ok
    assert not TopicReport("t", TopicOutcome.MISSING).ok

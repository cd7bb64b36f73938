"""The SDK's topics: what they should be like, making those that are missing, and checking those that are there.

A topic that exists belongs to whoever runs the cluster: it is compared with the settings and never altered.
"""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import for_code

from workflow_events.retry import transport_retrying
from workflow_events.transport import blocking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kafka import KafkaAdminClient

    from workflow_events.settings import KafkaSettings

__all__ = [
    "TopicDifference",
    "TopicOutcome",
    "TopicReport",
    "TopicSpec",
    "differences",
    "ensure_topics",
    "topic_specs",
]

logger = logging.getLogger(__name__)

_UNKNOWN_TOPIC = 3
_NO_LEADER_YET = 5
_NOT_AUTHORIZED = 29
_ALREADY_EXISTS = 36
_AT_LEAST = frozenset({"max.message.bytes", "min.insync.replicas"})


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What a topic should be like.

    Attributes:
        replication_factor: None leaves it to the broker.
        configs: the topic's settings by Kafka's names.
    """

    name: str
    partitions: int
    replication_factor: int | None = None
    configs: Mapping[str, str] = field(default_factory=dict)


class TopicOutcome(StrEnum):
    """What became of a topic."""

    CREATED = "created"
    EXISTS = "exists"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class TopicDifference:
    """One respect in which an existing topic is not what the settings ask for."""

    setting: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.setting} is {self.found}, the settings ask for {self.wanted}"


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What was found or done about one topic.

    Attributes:
        partitions: how many it has; None where it is missing.
        differences: from the settings, as far as the broker tells; a broker may tell no configs at all.
    """

    name: str
    outcome: TopicOutcome
    partitions: int | None = None
    differences: tuple[TopicDifference, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the topic is there and is what the settings ask for."""
        return self.outcome is not TopicOutcome.MISSING and not self.differences


def topic_specs(settings: KafkaSettings) -> list[TopicSpec]:
    """What the SDK's topics should be like.

    Every topic that a consumer group works through has a dead-letter topic, of one partition: dead letters are few, and
    are read in the order in which they came.
    """
    configs = {
        "cleanup.policy": "delete",
        "max.message.bytes": str(settings.max_message_bytes),
        # Look-ups by time then trust the brokers' clock, not each publisher's.
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(round(settings.topic_retention * 1000)),
    }
    if settings.topic_min_insync_replicas is not None:
        configs["min.insync.replicas"] = str(settings.topic_min_insync_replicas)
    worked_through = (
        settings.workflow_events_topic,
        settings.workflow_results_topic,
        settings.workflow_control_topic,
    )
    sizes = {
        **dict.fromkeys((*worked_through, settings.workflow_progress_topic), settings.topic_partitions),
        **{settings.dead_letter_topic(topic): 1 for topic in worked_through},
    }
    return [TopicSpec(name, size, settings.topic_replication_factor, configs) for name, size in sizes.items()]


def differences(
    spec: TopicSpec, *, partitions: int, replicas: int | None, configs: Mapping[str, str | None]
) -> tuple[TopicDifference, ...]:
    """Where a topic is not what it should be.

    Args:
        spec: what it should be.
        partitions: how many it has.
        replicas: how many it has, None if not told.
        configs: its settings by Kafka's names; those that the broker does not tell are left out.
    """
    found = []
    if partitions != spec.partitions:
        found.append(TopicDifference("partitions", str(spec.partitions), str(partitions)))
    if spec.replication_factor is not None and replicas is not None and replicas != spec.replication_factor:
        found.append(TopicDifference("replication.factor", str(spec.replication_factor), str(replicas)))
    for name, wanted in sorted(spec.configs.items()):
        value = configs.get(name)
        if value is None or value == wanted or (name in _AT_LEAST and int(value) >= int(wanted)):
            continue
        found.append(TopicDifference(name, wanted, value))
    return tuple(found)


def ensure_topics(
    settings: KafkaSettings, *, create: bool = True, specs: Sequence[TopicSpec] | None = None
) -> list[TopicReport]:
    """Makes the SDK's topics that are missing and compares those that exist with the settings.

    Any number of processes may call it at once, and again and again. What differs is reported and logged as a warning.

    Args:
        settings: the cluster, the topics' names and what they should be like.
        create: False only looks.
        specs: the topics; None: those of :func:`topic_specs`.

    Returns:
        One report for each topic, in the order of ``specs``.

    Raises:
        AccessDeniedError: the right to describe or to create a topic is missing.
        ConfigurationError: the cluster cannot make a topic as the settings ask, such as with more replicas than brokers.
        TransportError: another one of the tree.
    """
    specs = topic_specs(settings) if specs is None else specs
    with closing(blocking.new_admin(settings)) as admin:
        reports = transport_retrying(settings.request_timeout)(_ensure, admin, settings, specs, create=create)
    for report in reports:
        _log(report)
    return reports


def _ensure(
    admin: KafkaAdminClient, settings: KafkaSettings, specs: Sequence[TopicSpec], *, create: bool
) -> list[TopicReport]:
    known = _describe(admin, settings, specs)
    missing = [spec for spec in specs if spec.name not in known]
    created: set[str] = set()
    if missing and create:
        created = _create(admin, settings, missing)
        known = _describe(admin, settings, specs)
    configs = _configs(admin, settings, [name for name in known if name not in created])
    return [
        _report(spec, known.get(spec.name), configs.get(spec.name, {}), created=spec.name in created) for spec in specs
    ]


def _report(
    spec: TopicSpec, found: Sequence[Mapping[str, Any]] | None, configs: Mapping[str, str | None], *, created: bool
) -> TopicReport:
    if found is None:
        return TopicReport(spec.name, TopicOutcome.MISSING)
    if created:
        return TopicReport(spec.name, TopicOutcome.CREATED, len(found))
    replicas = min((len(partition["replica_nodes"]) for partition in found), default=None)
    return TopicReport(
        spec.name,
        TopicOutcome.EXISTS,
        len(found),
        differences(spec, partitions=len(found), replicas=replicas, configs=configs),
    )


def _describe(
    admin: KafkaAdminClient, settings: KafkaSettings, specs: Iterable[TopicSpec]
) -> dict[str, Sequence[Mapping[str, Any]]]:
    """The partitions of those topics that exist."""
    with blocking.map_errors(settings, "describe the topics"):
        topics = admin.describe_topics([spec.name for spec in specs])
    known = {}
    for topic in topics:
        code = topic["error_code"]
        if code == _UNKNOWN_TOPIC:
            continue
        if code not in (0, _NO_LEADER_YET):
            _refused(settings, "describe", topic)
        known[topic["name"]] = topic["partitions"]
    return known


def _create(admin: KafkaAdminClient, settings: KafkaSettings, specs: Sequence[TopicSpec]) -> set[str]:
    """Makes topics and waits until they have leaders; returns those that were made here and not by somebody else."""
    wanted = {
        spec.name: {
            "num_partitions": spec.partitions,
            # -1: the broker's default (KIP-464)
            "replication_factor": -1 if spec.replication_factor is None else spec.replication_factor,
            "configs": dict(spec.configs),
        }
        for spec in specs
    }
    with blocking.map_errors(settings, "create the topics"):
        answer = admin.create_topics(wanted, timeout_ms=round(settings.request_timeout * 1000), raise_errors=False)
    for topic in answer["topics"]:
        if topic["error_code"] not in (0, _ALREADY_EXISTS):
            _refused(settings, "create", topic)
    with blocking.map_errors(settings, "see the new topics"):
        admin.wait_for_topics(list(wanted), timeout_ms=round(settings.request_timeout * 1000))
    return {topic["name"] for topic in answer["topics"] if topic["error_code"] == 0}


def _configs(
    admin: KafkaAdminClient, settings: KafkaSettings, names: Sequence[str]
) -> Mapping[str, dict[str, str | None]]:
    if not names:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    with blocking.map_errors(settings, "describe the topics' configs"):
        # In two steps: kafka-python's own call leaves out without a word what may not be seen.
        request = admin._describe_configs_request(asked)  # noqa: SLF001
        response = admin._manager.run(admin._manager.send, request)  # noqa: SLF001
    for topic in response.results:
        if topic.error_code == _NOT_AUTHORIZED:
            _refused(
                settings,
                "compare",
                {"error_code": topic.error_code, "error_message": None, "name": topic.resource_name},
            )
    answer = admin._describe_configs_process_responses([response], "all")  # noqa: SLF001
    return {
        topic: {name: config.get("value") for name, config in configs.items()}
        for topic, configs in answer.get("topic", {}).items()
    }


def _refused(settings: KafkaSettings, action: str, topic: Mapping[str, Any]) -> NoReturn:
    said = topic.get("error_message")
    error = for_code(topic["error_code"])
    with blocking.map_errors(settings, f"{action} a topic", topic=topic["name"]):
        raise error(said) if said else error()
    raise AssertionError("unreachable")  # pragma: no cover


def _log(report: TopicReport) -> None:
    if report.outcome is TopicOutcome.CREATED:
        logger.info("Created topic %r with %s partitions.", report.name, report.partitions)
    elif report.outcome is TopicOutcome.MISSING:
        logger.warning("Topic %r does not exist.", report.name)
    elif report.differences:
        logger.warning("Topic %r is left as it is: %s.", report.name, "; ".join(map(str, report.differences)))

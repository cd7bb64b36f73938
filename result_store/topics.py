"""The topic that the store itself needs: where it tells live views of changed rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from workflow_events.topics import ensure_topics, topic_specs

if TYPE_CHECKING:
    from result_store.settings import StoreSettings
    from workflow_events.settings import KafkaSettings
    from workflow_events.topics import TopicReport, TopicSpec

__all__ = ["ensure_store_topics", "stored_topic_spec"]


def stored_topic_spec(kafka: KafkaSettings, settings: StoreSettings) -> TopicSpec:
    """What the topic of ``workflow.result_stored`` events should be like: as the SDK's topic of progress, by another name."""
    progress = next(spec for spec in topic_specs(kafka) if spec.name == kafka.workflow_progress_topic)
    return replace(progress, name=settings.stored_topic)


def ensure_store_topics(kafka: KafkaSettings, settings: StoreSettings, *, create: bool = True) -> list[TopicReport]:
    """Make the topics that are missing of those the store reads and writes, and compare those that are there.

    Args:
        create: False only looks.

    Returns:
        One report for each topic: the SDK's, and last the store's own.

    Raises:
        AccessDeniedError: the right to describe or to create a topic is missing.
        ConfigurationError: the cluster cannot make a topic as the settings ask.
        TransportError: another one of the tree.
    """
    return ensure_topics(kafka, create=create, specs=[*topic_specs(kafka), stored_topic_spec(kafka, settings)])

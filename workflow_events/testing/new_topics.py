"""Settings for one test: topics of its own, so that tests share a broker and nothing else."""

from __future__ import annotations

import uuid
from typing import Any

from workflow_events.settings import KafkaSettings
from workflow_events.topics import ensure_topics


def settings_with_new_topics(bootstrap_servers: str, *, topic_partitions: int = 3, **settings: Any) -> KafkaSettings:
    """Create the topics under fresh names on that broker and return the settings that name them.

    Args:
        bootstrap_servers: the broker, as ``host:port``; it takes plain connections unless `settings` say otherwise.
        topic_partitions: of every topic.
        **settings: more fields of `KafkaSettings`. A file ``.env`` is not read.

    Raises:
        TransportError: the broker cannot be reached, or refuses to create the topics.
    """
    tag = uuid.uuid4().hex[:12]
    chosen = KafkaSettings(
        _env_file=None,
        bootstrap_servers=bootstrap_servers,
        workflow_events_topic=f"events-{tag}",
        workflow_results_topic=f"results-{tag}",
        workflow_progress_topic=f"progress-{tag}",
        workflow_control_topic=f"control-{tag}",
        topic_partitions=topic_partitions,
        **settings,
    )
    ensure_topics(chosen)
    return chosen

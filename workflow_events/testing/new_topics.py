"""Settings for one test: topics of its own, so that tests share a broker and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from workflow_events.errors import TransportError
from workflow_events.settings import KafkaSettings
from workflow_events.topics import ensure_topics, topic_specs
from workflow_events.transport import blocking


@contextmanager
def new_topics(bootstrap_servers: str, *, topic_partitions: int = 3, **settings: Any) -> Iterator[KafkaSettings]:
    """Yield `settings_with_new_topics`, and delete the topics at the end of the block.

    The embedded broker tells each client that connects of all topics there are, so those of hundreds of tests make every further
    test slow.
    """
    made = settings_with_new_topics(bootstrap_servers, topic_partitions=topic_partitions, **settings)
    try:
        yield made
    finally:
        # A broker that is gone says so to the next test that needs it.
        with (
            suppress(TransportError),
            closing(blocking.new_admin(made)) as admin,
            blocking.map_errors(made, "delete the topics"),
        ):
            admin.delete_topics([spec.name for spec in topic_specs(made)], raise_errors=False)


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

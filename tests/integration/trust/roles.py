"""What each role needs, as the table in docs/security.md has it."""

from __future__ import annotations

from tests.guarded import Right
from workflow_events import KafkaSettings

ADMIN_SECRET = "admin-secret-51e0"
GROUP = "workers-of-the-trust-tests"


def requester(settings: KafkaSettings) -> list[Right]:
    """Both clients, the operator, ``workflow-events request``: asks, waits, cancels, follows progress."""
    return [
        Right("WRITE", "topic", settings.workflow_events_topic),
        Right("READ", "topic", settings.workflow_results_topic),
        Right("WRITE", "topic", settings.workflow_control_topic),
        Right("READ", "topic", settings.workflow_progress_topic),
        Right("DESCRIBE", "group", GROUP),
    ]


def publisher(settings: KafkaSettings) -> list[Right]:
    """``WorkflowEventProducer``: asks and does not wait."""
    return [Right("WRITE", "topic", settings.workflow_events_topic)]


def waiter(settings: KafkaSettings) -> list[Right]:
    """The poller, the sensor, the trigger, ``workflow-events wait``: waits and does not ask."""
    return [Right("READ", "topic", settings.workflow_results_topic)]


def worker(settings: KafkaSettings) -> list[Right]:
    """``workflow-worker``: takes requests and cancels, answers, tells of progress, buries what is broken."""
    return [
        Right("READ", "topic", settings.workflow_events_topic),
        Right("READ", "group", GROUP),
        Right("WRITE", "transactional_id", f"{GROUP}-"),
        Right("WRITE", "topic", settings.workflow_results_topic),
        Right("WRITE", "topic", settings.dead_letter_topic(settings.workflow_events_topic)),
        Right("READ", "topic", settings.workflow_control_topic),
        Right("WRITE", "topic", settings.workflow_progress_topic),
    ]


def answerer(settings: KafkaSettings) -> list[Right]:
    """``ResultProducer``: answers, without taking requests itself."""
    return [Right("WRITE", "topic", settings.workflow_results_topic)]


def topic_maker(settings: KafkaSettings) -> list[Right]:
    """``workflow-events topics create``; ``check`` needs no CREATE."""
    named = [
        settings.workflow_events_topic,
        settings.workflow_results_topic,
        settings.workflow_control_topic,
    ]
    topics = [*named, settings.workflow_progress_topic, *map(settings.dead_letter_topic, named)]
    return [
        Right(operation, "topic", topic) for topic in topics for operation in ("CREATE", "DESCRIBE", "DESCRIBE_CONFIGS")
    ]


def without(rights: list[Right], operation: str, name: str) -> list[Right]:
    """All but one."""
    left = [right for right in rights if (right.operation, right.name) != (operation, name)]
    assert len(left) == len(rights) - 1
    return left

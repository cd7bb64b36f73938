"""What each role needs, as the table in docs/security.md has it."""

from __future__ import annotations

from tests.guarded import Right
from workflow_events import KafkaSettings

ADMIN_SECRET = "admin-secret-51e0"
GROUP = "workers-of-the-trust-tests"
STORE_GROUP = "store-of-the-trust-tests"
STORED_TOPIC = "stored-of-the-trust-tests"


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


def store_processor(settings: KafkaSettings) -> list[Right]:
    """``result-store run --only processor``: reads what happens, and tells of what it has stored."""
    given_up = (settings.workflow_events_topic, settings.workflow_results_topic, settings.workflow_control_topic)
    read = [*given_up[:2], settings.workflow_progress_topic, *map(settings.dead_letter_topic, given_up)]
    return [
        *(Right("READ", "topic", topic) for topic in read),
        Right("READ", "group", STORE_GROUP),
        Right("WRITE", "topic", STORED_TOPIC),
    ]


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

"""Request and reply over plain Kafka for orchestration tasks.

The names below are the public interface. Each is loaded when first used, so that importing this package costs next to nothing,
also where Airflow parses DAG files every few seconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workflow_events.async_client import AsyncWorkflowClient
    from workflow_events.client import WorkflowClient
    from workflow_events.errors import (
        AccessDeniedError,
        BrokerUnavailableError,
        ClaimCheckError,
        ConfigurationError,
        DeliveryError,
        GatherTimeoutError,
        InvalidEventError,
        MessageTooLargeError,
        NotAcceptedError,
        ObjectStoreError,
        ResultStoreUnavailableError,
        ResultTimeoutError,
        ResultUnavailableError,
        TopicNotFoundError,
        TransportError,
        WorkerSilentError,
        WorkflowCancelledError,
        WorkflowErroredError,
        WorkflowEventsError,
        WorkflowFailedError,
        WorkflowInterruptedError,
        WorkflowResultError,
    )
    from workflow_events.events import (
        PROTOCOL_VERSION,
        ClaimCheck,
        ErrorCause,
        ErrorDetail,
        EventSource,
        EventType,
        ResultStatus,
        WorkflowEvent,
        WorkflowEventMetadata,
        WorkflowEventPayload,
        WorkflowResultEvent,
    )
    from workflow_events.pending import PendingRequest
    from workflow_events.producer import WorkflowEventProducer
    from workflow_events.settings import KafkaSettings

__all__ = [
    "PROTOCOL_VERSION",
    "AccessDeniedError",
    "AsyncWorkflowClient",
    "BrokerUnavailableError",
    "ClaimCheck",
    "ClaimCheckError",
    "ConfigurationError",
    "DeliveryError",
    "ErrorCause",
    "ErrorDetail",
    "EventSource",
    "EventType",
    "GatherTimeoutError",
    "InvalidEventError",
    "KafkaSettings",
    "MessageTooLargeError",
    "NotAcceptedError",
    "ObjectStoreError",
    "PendingRequest",
    "ResultStatus",
    "ResultStoreUnavailableError",
    "ResultTimeoutError",
    "ResultUnavailableError",
    "TopicNotFoundError",
    "TransportError",
    "WorkerSilentError",
    "WorkflowCancelledError",
    "WorkflowClient",
    "WorkflowErroredError",
    "WorkflowEvent",
    "WorkflowEventMetadata",
    "WorkflowEventPayload",
    "WorkflowEventProducer",
    "WorkflowEventsError",
    "WorkflowFailedError",
    "WorkflowInterruptedError",
    "WorkflowResultError",
    "WorkflowResultEvent",
]

_MODULE_OF = {
    name: module
    for module, names in {
        "workflow_events.async_client": ("AsyncWorkflowClient",),
        "workflow_events.client": ("WorkflowClient",),
        "workflow_events.errors": (
            "AccessDeniedError",
            "BrokerUnavailableError",
            "ClaimCheckError",
            "ConfigurationError",
            "DeliveryError",
            "GatherTimeoutError",
            "InvalidEventError",
            "MessageTooLargeError",
            "NotAcceptedError",
            "ObjectStoreError",
            "ResultStoreUnavailableError",
            "ResultTimeoutError",
            "ResultUnavailableError",
            "TopicNotFoundError",
            "TransportError",
            "WorkerSilentError",
            "WorkflowCancelledError",
            "WorkflowErroredError",
            "WorkflowEventsError",
            "WorkflowFailedError",
            "WorkflowInterruptedError",
            "WorkflowResultError",
        ),
        "workflow_events.events": (
            "PROTOCOL_VERSION",
            "ClaimCheck",
            "ErrorCause",
            "ErrorDetail",
            "EventSource",
            "EventType",
            "ResultStatus",
            "WorkflowEvent",
            "WorkflowEventMetadata",
            "WorkflowEventPayload",
            "WorkflowResultEvent",
        ),
        "workflow_events.pending": ("PendingRequest",),
        "workflow_events.producer": ("WorkflowEventProducer",),
        "workflow_events.settings": ("KafkaSettings",),
    }.items()
    for name in names
}


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

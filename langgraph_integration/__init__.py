"""The worker's side: runs LangGraph graphs for requests and publishes their results.

Importing this package imports neither LangGraph nor a Kafka client; a name does when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langgraph_integration.error_policy import ErrorPolicy
    from langgraph_integration.errors import UnserializableError, WorkflowFailure
    from langgraph_integration.result_node import publish_result_node
    from langgraph_integration.result_producer import ResultProducer
    from langgraph_integration.without_worker import run_and_publish
    from langgraph_integration.worker import WorkflowWorker
    from langgraph_integration.worker_settings import WorkerSettings

__all__ = [
    "ErrorPolicy",
    "ResultProducer",
    "UnserializableError",
    "WorkerSettings",
    "WorkflowFailure",
    "WorkflowWorker",
    "publish_result_node",
    "run_and_publish",
]

_HOMES = {
    "ErrorPolicy": "error_policy",
    "ResultProducer": "result_producer",
    "UnserializableError": "errors",
    "WorkerSettings": "worker_settings",
    "WorkflowFailure": "errors",
    "WorkflowWorker": "worker",
    "publish_result_node": "result_node",
    "run_and_publish": "without_worker",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Runs operators and triggers as Airflow's task runner and triggerer do, without their processes."""

from __future__ import annotations

import asyncio
import json
from typing import Any, TypeVar

from airflow.sdk._shared.module_loading import import_string
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.execution_time.task_runner import _run_execute_callable
from airflow.sdk.serde import deserialize, serialize

from airflow_integration.settled_trigger import SettledTrigger

Trigger = TypeVar("Trigger", bound=SettledTrigger)


def execute(task: Any, context: dict[str, Any]) -> Any:
    """Run a task; what it returns or raises, ``TaskDeferred`` among it."""
    return _run_execute_callable(context=context, execute=task.execute, task=task)


def revive(trigger: Trigger) -> Trigger:
    """The trigger as another process gets it: through Airflow's serializer and the database."""
    path, arguments = trigger.serialize()
    kind = import_string(path)
    assert kind is type(trigger)
    revived: Any = deserialize(json.loads(json.dumps(serialize(arguments))))
    return kind(**revived)


async def fire(trigger: SettledTrigger) -> Any:
    """Run a trigger to its one event, and give the event's payload as the task gets it."""
    payloads = [event.payload async for event in trigger.run()]
    assert len(payloads) == 1
    return deserialize(json.loads(json.dumps(serialize(payloads[0]))))


def execute_deferred(task: Any, context: dict[str, Any]) -> Any:
    """Run a task through a deferral, whatever its settings for waiting inline."""
    try:
        execute(task, context)
    except TaskDeferred as deferred:
        trigger = revive(deferred.trigger)
        trigger.settle = None
        event = asyncio.run(fire(trigger))
        return getattr(task, deferred.method_name)(context, event=event)
    raise AssertionError("the task did not defer")

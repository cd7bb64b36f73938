"""A DAG that defers, maps and aggregates, without Kafka: what the stack itself must be able to run."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import dag, get_current_context, task


@task
def double(number: int) -> dict[str, int]:
    print(f"doubling {number}")  # noqa: T201 - the test looks for it in the task's log
    return {"number": number, "double": 2 * number}


@task
def total(doubled: list[dict[str, int]]) -> int:
    return int(get_current_context()["params"]["base"]) + sum(one["double"] for one in doubled)


@dag(schedule=None, params={"base": 0, "file": ""})
def stack_check() -> Any:
    wait = FileSensor(task_id="wait", filepath="{{ params.file }}", poke_interval=0.5, deferrable=True)
    wait >> total(double.expand(number=[1, 2, 3]))  # type: ignore[arg-type]  # a task's result stands for its value


stack_check()

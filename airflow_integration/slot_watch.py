"""Notices, while a task waits in its worker slot, that a user has marked or cleared it.

Airflow tells the task's process by killing it, and its supervisor learns of it with its next heartbeat: up to ``[workers]
min_heartbeat_interval`` (5 s) later. A run that costs money goes on meanwhile. So the process asks for its own state, once a
second by default.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SlotWatch", "own_state"]

log = logging.getLogger(__name__)

_RUNNING = "running"


class SlotWatch:
    """Looks every so often whether the task is still to run, in a thread of its own, while the block lasts.

    Args:
        look: the task instance's state; None where there is none. What it raises is passed over.
        tell: called once, in that thread, when the task is to run no more. Must not raise.
        interval: seconds between two looks.

    Attributes:
        unwanted: whether it is to run no more.
    """

    def __init__(self, look: Callable[[], str | None], tell: Callable[[], object], interval: float) -> None:
        self.unwanted = False
        self._look = look
        self._tell = tell
        self._interval = interval
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="slot-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._interval):
            try:
                state = self._look()
            except Exception as error:  # noqa: BLE001 - whatever Airflow's API raises; its own way remains
                log.debug("The task's state cannot be asked for: %s", error)
                continue
            if state != _RUNNING:
                log.info("Airflow has this task as %r, and no longer running.", state)
                self.unwanted = True
                self._tell()
                return


def own_state(context: Mapping[str, Any]) -> Callable[[], str | None] | None:
    """What asks Airflow for the state of the task instance whose context this is; None where it cannot be asked beside a wait.

    In ``dag.test()`` there is no supervisor; before Airflow 3.1 its channel takes one thread.
    """
    instance = context["ti"]
    ask = getattr(instance, "get_task_states", None)
    if ask is None or not _takes_threads():
        return None

    def look() -> str | None:
        found = ask(
            dag_id=instance.dag_id,
            map_index=instance.map_index,
            task_ids=[instance.task_id],
            run_ids=[instance.run_id],
        )
        states: dict[str, str | None] = found[instance.run_id]
        (state,) = states.values()
        return state

    return look


def _takes_threads() -> bool:
    """Whether the channel to the supervisor is one, and guards itself."""
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - DAG files are parsed without it

    channel = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return getattr(channel, "_thread_lock", None) is not None

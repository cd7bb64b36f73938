"""How long a trigger keeps an early result, so that Airflow does not fail the task it belongs to.

Airflow 3 learns of a deferral twice: the task reports it (the task instance becomes ``deferred``), and later the executor
reports that the task's process has ended. In between lies up to ``[workers] min_heartbeat_interval``: the process closes
its sockets a moment before it can be waited for, and the supervisor that was woken by them, and found it still there, looks
again only after that interval. If a trigger fires first, the scheduler has queued the task anew when the executor's report
of the *first* process arrives, cannot tell the two apart (dag, run, task, map index and try number are the same), and
fails the task: "finished with state success, but the task instance's state attribute is queued"
(``SchedulerJobRunner.process_executor_events``; only the state ``scheduled`` is excused).

So an event is safe when the supervisor has taken note of the exit and the scheduler has gone once around its loop since.

*   **The exit can be seen** where the trigger runs beside the task (same machine, same process namespace; the
    LocalExecutor's case): a process stays in the process table, as a zombie, until its supervisor has waited for it. Its
    disappearance *is* the moment of notice, however loaded the machine. The margin for the scheduler's loop counts
    from there. The scheduler runs on this machine too, so where many processes wait for each processor, the margin grows
    with them.
*   **Elsewhere it can be bounded**: the interval plus the margin, counted from the trigger's own start, which comes
    after the deferral was stored.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

__all__ = ["Settling", "TaskProcess", "crowding"]

_PATIENCE_SECONDS = 60.0
"""Airflow kills a task's process that outlives its end by ``[core] task_success_overtime`` (20 s by default). One that is
still seen after this long is another's, with the same number."""
_CROWDED = 2.0
"""Processes that run, or wait to, for each processor, at which a machine begins to be slow."""
_MOST_CROWDED = 6.0


@dataclass(frozen=True, slots=True)
class TaskProcess:
    """The process of a deferred task, as another process may look for it.

    Attributes:
        pid: its process id.
        namespace: names the machine's boot and the process namespace in which ``pid`` means anything; None where the
            platform does not tell.
    """

    pid: int
    namespace: str | None

    @classmethod
    def current(cls) -> Self:
        """This process."""
        return cls(os.getpid(), _namespace())

    @property
    def is_this_one(self) -> bool:
        """Whether it is the very process that asks: nobody supervises it (``dag.test()``)."""
        return self == TaskProcess.current()

    @property
    def is_visible(self) -> bool:
        """Whether its presence can be seen from here."""
        return self.namespace is not None and self.namespace == _namespace()

    def is_present(self) -> bool:
        """Whether it is in the process table, alive or as a zombie."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def to_json(self) -> dict[str, Any]:
        """This process as a JSON-ready dict; ``TaskProcess(**data)`` takes it back."""
        return {"pid": self.pid, "namespace": self.namespace}


class Settling:
    """Decides from when on a trigger may fire. Pure: it is told what is seen, and when.

    Args:
        started: when the trigger began to run.
        interval: the supervisor's heartbeat interval, in seconds.
        margin: what the scheduler may take to go around its loop where it need not wait for a processor, in seconds.
        visible: whether the task's process can be seen from here.
    """

    def __init__(self, *, started: float, interval: float, margin: float, visible: bool) -> None:
        self._bound = started + interval + margin
        self._patience = started + max(_PATIENCE_SECONDS, interval + margin)
        self._margin = margin
        self._visible = visible
        self._gone: float | None = None

    def see(self, *, present: bool, now: float, crowding: float = 1.0) -> None:
        """Note whether the task's process was present at ``now``.

        Args:
            crowding: by how much slower than usual the machine is.
        """
        if not present and self._gone is None:
            self._gone = now
            self._margin *= crowding

    @property
    def is_watching(self) -> bool:
        """Whether another look at the process can change the answer."""
        return self._visible and self._gone is None

    def wait(self, now: float) -> float:
        """Seconds until firing is safe, as far as known at ``now``; 0 if it is safe."""
        if not self._visible:
            until = self._bound
        elif self._gone is not None:
            until = self._gone + self._margin
        else:
            until = self._patience
        return max(0.0, until - now)


def crowding() -> float:
    """By how much slower than usual a process goes round its loop here, from 1 to 6; 1 where the platform does not tell."""
    try:
        waiting = os.getloadavg()[0]
    except (AttributeError, OSError):
        return 1.0
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_MOST_CROWDED, max(1.0, waiting / processors / _CROWDED))


def _namespace() -> str | None:
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()}/{boot}/{Path('/proc/self/ns/pid').readlink()}"
    return None

"""What a task's log says of a run that is under way."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from workflow_events.events import EventType

if TYPE_CHECKING:
    from collections.abc import Callable

    from workflow_events.events import WorkflowEvent

__all__ = ["Narrator", "line_of"]

_LONGEST = 500
"""Characters of a graph's own event; Airflow's log is no place for documents."""
_BURST = 20.0
_LINES_A_SECOND = 2.0


def line_of(event: WorkflowEvent) -> str | None:
    """A line about a progress event; None where it is worth none, such as a heartbeat."""
    data: dict[str, Any] = event.payload.data
    if event.event_type == EventType.WORKFLOW_ACCEPTED:
        return f"Worker {data.get('worker') or 'of no name'} has taken the request."
    return _of_a_run(data) if event.event_type == EventType.WORKFLOW_PROGRESS else None


def _of_a_run(data: dict[str, Any]) -> str | None:
    node, kind = data.get("node"), data.get("kind")
    if kind == "run_started":
        return "Its run goes on from its last checkpoint." if data.get("resumed") else "Its run has begun."
    if kind == "node_started":
        return f"Node {node!r} has started."
    if kind == "node_finished":
        duration = data.get("duration_ms")
        return f"Node {node!r} has finished" + (f" in {duration:.0f} ms." if isinstance(duration, int | float) else ".")
    if kind == "custom":
        said = json.dumps(data.get("data"), ensure_ascii=False)
        said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}… ({len(said)} characters)"
        return f"Node {node!r} says: {said}" if node else f"The graph says: {said}"
    return None


class Narrator:
    """Writes lines about a run's events, some at once and then two a second: a graph may stream every token.

    What is left out is counted (algorithm: token bucket).

    Args:
        tell: writes a line.
        clock: seconds, steady.
    """

    def __init__(self, tell: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._left = _BURST
        self._filled = clock()
        self._silent = 0

    def hear(self, event: WorkflowEvent) -> None:
        """Take an event."""
        line = line_of(event)
        if line is None:
            return
        now = self._clock()
        self._left = min(_BURST, self._left + (now - self._filled) * _LINES_A_SECOND)
        self._filled = now
        if self._left < 1:
            self._silent += 1
            return
        self._left -= 1
        if self._silent:
            line = f"{line} ({self._silent} events before it were left out.)"
            self._silent = 0
        self._tell(line)

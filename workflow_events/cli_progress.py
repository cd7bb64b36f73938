"""Shows a run's progress on standard error while a command waits: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from workflow_events.events import EventType

if TYPE_CHECKING:
    from types import TracebackType

    from workflow_events.events import WorkflowEvent

__all__ = ["ProgressView", "RunSoFar"]


@dataclass(slots=True)
class RunSoFar:
    """What is known of a run, from its events. Pure.

    Attributes:
        worker: the worker process that has it; None: nobody took it yet.
        in_line: whether it waits there for its turn.
        node: the node that runs.
        finished: how many nodes have ended.
        beats: heartbeats since the last other event.
        completed, total: how far the graph itself says it is, where its custom events hold these two numbers.
    """

    worker: str | None = None
    in_line: bool = False
    node: str | None = None
    finished: int = 0
    beats: int = 0
    completed: float | None = None
    total: float | None = None

    def add(self, event: WorkflowEvent) -> str | None:
        """Take one more event; a line about it, None for a heartbeat."""
        data = event.payload.data
        self.worker = _text(data.get("worker")) or self.worker or "a worker"
        node = _text(data.get("node"))
        if event.event_type == EventType.WORKFLOW_HEARTBEAT:
            self.beats += 1
            self.node = node or self.node
            self.in_line = self.in_line and node is None
            return None
        self.beats = 0
        self.in_line = event.event_type == EventType.WORKFLOW_ACCEPTED
        if self.in_line:
            self.node = None
            return f"accepted by {self.worker}"
        kind = data.get("kind")
        if kind == "run_started":
            return "run resumed" if data.get("resumed") is True else "run started"
        if kind == "node_started":
            self.node = node
            return f"{node} started"
        if kind == "node_finished":
            self.finished += 1
            self.node = None if node == self.node else self.node
            took = _number(data.get("duration_ms"))
            return f"{node} finished" + (f" in {took / 1000:.1f} s" if took is not None else "")
        custom = data.get("data")
        if isinstance(custom, dict):
            completed, total = _number(custom.get("completed")), _number(custom.get("total"))
            if completed is not None and total:
                self.completed, self.total = completed, total
        return f"{node or kind or event.event_type}: {custom}"

    def __str__(self) -> str:
        if self.worker is None:
            return "waiting for a worker"
        parts = [f"accepted by {self.worker}"]
        if self.in_line:
            parts.append("in line")
        if self.finished:
            parts.append(f"{self.finished} node{'s' * (self.finished != 1)} done")
        if self.node:
            parts.append(self.node)
        if self.beats:
            parts.append("alive")
        return ", ".join(parts)


class ProgressView:
    """The view of one wait, a context manager; :meth:`show` takes the events.

    Args:
        console: standard error where None. On a terminal the view is a live line, which goes when the wait is over.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.run = RunSoFar()
        self._live: Progress | None = None
        if self.console.is_terminal:
            self._live = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                console=self.console,
                transient=True,
            )
            self._task = self._live.add_task(str(self.run), total=None)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, event: WorkflowEvent) -> None:
        """Show one event. What it says is printed as it is: markup and control characters mean nothing."""
        line = self.run.add(event)
        if self._live is not None:
            self._live.update(
                self._task,
                description=escape(_printable(str(self.run))),
                completed=self.run.completed,
                total=self.run.total,
            )
        elif line is not None:
            at = event.timestamp.astimezone().strftime("%H:%M:%S")
            self.console.print(f"{at} {_printable(line)}", markup=False, highlight=False, emoji=False, soft_wrap=True)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)

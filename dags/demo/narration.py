"""What ``make demo`` says while it runs: one line for each phase that ends, and a live view of the phase that goes on.

On a terminal the live view is drawn in place. Elsewhere (a CI log, a pipe) each change of it is a line of its own.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH_OF_A_LOG = 110
"""Columns, where the output is no terminal and ``COLUMNS`` does not say."""


def new_console() -> Console:
    """A console on standard output, wide enough for a table also where there is no terminal."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in console._environ:  # noqa: SLF001 - what rich itself would go by
        return Console(highlight=False, width=_WIDTH_OF_A_LOG)
    return console


class Phase:
    """One phase that goes on. It may be told from several threads."""

    def __init__(self, console: Console, title: str, began: float) -> None:
        self._console = console
        self._title = title
        self._began = time.monotonic()
        self._demo_began = began
        self._view: RenderableType | None = None
        self._line = ""
        self._lock = threading.Lock()
        self.result = ""
        """What to say of it when it is over, beside its duration."""

    @property
    def seconds(self) -> float:
        """How long it has gone on."""
        return time.monotonic() - self._began

    def show(self, line: str, view: RenderableType | None = None) -> None:
        """How it stands: a line, and for a terminal something larger to show below it. The same line again changes nothing."""
        with self._lock:
            self._view = view
            if line == self._line:
                return
            self._line = line
            if not self._console.is_terminal and line:
                self._console.print(Text(f"{time.monotonic() - self._demo_began:6.1f} s    {line}"))

    def render(self) -> RenderableType:
        """The live view."""
        with self._lock:
            line = f"  {self._line}" if self._line and self._view is None else ""  # the view says it better
            text = Text.assemble(self._title, (f"  {self.seconds:.0f} s", "dim"), (line, "dim"))
            spinner = Spinner("dots", text=text)
            return spinner if self._view is None else Group(spinner, self._view)


class Narrator:
    """Tells the phases of the demo, in order."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.began = time.monotonic()
        self.phases: list[tuple[str, float]] = []
        """Title and seconds of each phase that has ended well."""

    @property
    def seconds(self) -> float:
        """How long the demo has gone on."""
        return time.monotonic() - self.began

    @contextmanager
    def phase(self, title: str) -> Iterator[Phase]:
        """Say that a phase begins, show how it stands, and say how it ended."""
        phase = Phase(self.console, title, self.began)
        try:
            if self.console.is_terminal:
                with Live(get_renderable=phase.render, console=self.console, refresh_per_second=8, transient=True):
                    yield phase
            else:
                self.console.print(f"{self.seconds:6.1f} s  {title} ...")
                yield phase
        except BaseException:
            self._ended(self._mark("✗", "x"), "red", title, phase)
            raise
        self.phases.append((title, phase.seconds))
        self._ended(self._mark("✓", "+"), "green", title, phase)

    def _ended(self, mark: str, style: str, title: str, phase: Phase) -> None:
        result = f"  {phase.result}" if phase.result else ""
        head = "" if self.console.is_terminal else f"{self.seconds:6.1f} s  "
        self.console.print(
            Text.assemble(head, (mark, style), f" {title}", (f"  {phase.seconds:.1f} s", "cyan"), (result, "dim"))
        )

    def _mark(self, mark: str, plain: str) -> str:
        return mark if self.console.encoding.lower().startswith("utf") else plain

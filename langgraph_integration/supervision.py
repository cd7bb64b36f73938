"""What accompanies a run from outside: who hears of its progress, and what may end it early."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from langgraph.runtime import RunControl

if TYPE_CHECKING:
    from langgraph_integration.cancellations import Cancellation

__all__ = ["HandOver", "RunObserver", "Supervision"]

_HAND_OVER = "the worker hands its runs over"


class RunObserver(Protocol):
    """Hears what happens in a run. It is called in the event loop, and neither waits nor raises."""

    def run_started(self, *, resumed: bool) -> None:
        """The run begins; ``resumed``: at an earlier checkpoint."""

    def node_started(self, node: str, step: int) -> None:
        """A node begins; one of a subgraph is ``outer|inner``."""

    def node_finished(self, node: str, step: int, duration_ms: float) -> None:
        """A node has ended well, after so many milliseconds."""

    def custom(self, node: str | None, data: object, step: int | None = None) -> None:
        """The graph's own stream; ``node`` and ``step`` are None where it cannot be told which node said it."""


class HandOver:
    """Asks a run to stop after the superstep that it is in, so that another worker goes on at its checkpoint.

    Attributes:
        control: LangGraph's own means to do so; one for each run.
    """

    __slots__ = ("control",)

    def __init__(self) -> None:
        self.control = RunControl()

    def ask(self) -> None:
        """From now on the run begins no more supersteps."""
        self.control.request_drain(_HAND_OVER)

    @property
    def asked(self) -> bool:
        """Whether it was asked; a graph's own node may drain its run too, and that is no hand-over."""
        return self.control.drain_reason == _HAND_OVER


@dataclass(frozen=True, slots=True)
class Supervision:
    """The companions of one run; without arguments it has none."""

    observer: RunObserver | None = None
    cancellation: Cancellation | None = None
    hand_over: HandOver = field(default_factory=HandOver)

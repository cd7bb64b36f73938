"""What was found of a request in the topics, the workers' group and the result store. Data only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from workflow_events.dead_letters import DeadLetter
    from workflow_events.events import WorkflowEvent, WorkflowResultEvent
    from workflow_events.progress.group_report import GroupReport
    from workflow_events.stored_runs import StoredRun

__all__ = ["Asked", "Evidence", "Seen", "Told"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A message about the request.

    Attributes:
        at: when the broker, or its sender, says that it was published.
        problem: why it is none of its kind, or is not believed; None where nothing is wrong with it.
    """

    topic: str
    partition: int
    offset: int
    at: datetime
    problem: str | None = None

    @property
    def where(self) -> str:
        """Its place, as ``topic:partition:offset``."""
        return f"{self.topic}:{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Asked(Seen):
    """A request, or an event about one; ``event`` is None where there is a problem with it."""

    event: WorkflowEvent | None = None


@dataclass(frozen=True, slots=True)
class Told(Seen):
    """A result; ``event`` is None where there is a problem with it."""

    event: WorkflowResultEvent | None = None


@dataclass(slots=True)
class Evidence:
    """All that was found.

    Attributes:
        now: when it was looked for.
        since: from when on the topics were read.
        requests, progress, results, cancels: messages, in the order of their times.
        forgotten: topics whose log begins later than the request was made.
        committed: by partition of the topic of requests, the offset from which on the workers' group has yet to finish; None: not
            known.
        stored: what the result store has; None where it has nothing, was not asked or could not be.
        store: the result store's address; None where none is set.
        troubles: by what could not be read (``requests``, ``progress``, ``results``, ``control``, ``dead letters``, ``store``),
            why.
    """

    correlation_id: UUID
    now: datetime
    since: datetime
    requests_topic: str
    requests: list[Asked] = field(default_factory=list)
    progress: list[Asked] = field(default_factory=list)
    results: list[Told] = field(default_factory=list)
    cancels: list[Asked] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    forgotten: set[str] = field(default_factory=set)
    group: GroupReport | None = None
    committed: dict[int, int] | None = None
    stored: StoredRun | None = None
    store: str | None = None
    troubles: dict[str, str] = field(default_factory=dict)

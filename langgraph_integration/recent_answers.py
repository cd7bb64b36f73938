"""The answers that a worker has lately given to requests that no checkpoint remembers."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from workflow_events.events import ResultStatus

if TYPE_CHECKING:
    from uuid import UUID

    from workflow_events.events import WorkflowEvent, WorkflowResultEvent

__all__ = ["RecentAnswers"]

_OVERHEAD = 2000  # bytes that a result costs beside its JSON; an estimate


class RecentAnswers:
    """Successes by correlation id, so that a request which is sent or delivered twice is run once.

    (Pattern: Idempotent Receiver, Enterprise Integration Patterns.)

    Only successes: what failed may be asked again. Only those without a checkpoint, which else is the better memory: it
    outlives the worker.

    Args:
        max_bytes: bound on what is kept; the oldest goes first.
    """

    def __init__(self, max_bytes: int = 16_777_216) -> None:
        self.max_bytes = max_bytes
        self.size = 0
        self._kept: OrderedDict[UUID, tuple[WorkflowResultEvent, int]] = OrderedDict()

    def keep(self, result: WorkflowResultEvent, size: int) -> None:
        """Remember a published result of ``size`` bytes of JSON, if it is one to remember."""
        if result.status is not ResultStatus.SUCCESS or result.checkpoint_id is not None:
            return
        _, before = self._kept.pop(result.correlation_id, (None, 0))
        self._kept[result.correlation_id] = (result, size + _OVERHEAD)
        self.size += size + _OVERHEAD - before
        while self.size > self.max_bytes:
            _, (_, freed) = self._kept.popitem(last=False)
            self.size -= freed

    def to(self, request: WorkflowEvent) -> WorkflowResultEvent | None:
        """The answer to a request that has been answered before; None where it has not, or is not remembered."""
        found = self._kept.get(request.event_id)
        return None if found is None else found[0].model_copy(update={"attempt": request.attempt})

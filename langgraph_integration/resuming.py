"""The request that answers a run's questions: what it says, and what it does to the thread that waits.

A run that stops at ``interrupt()`` ends its request with ``interrupted`` and the open questions, each with an id. The answer
comes as a request of its own, ``workflow.resume``, with an id, an attempt and a deadline of its own, on the same thread. Its
data:

``correlation_id``
    the request whose run asked; the *root*, for a run that asks several times.
``answers``
    the answers by the questions' ids, any JSON. One answer may be given now and another later. Empty: only tell how the thread
    stands.

An id names one asking of one question: LangGraph makes another when a node asks again, in the same node or in a later step.
So an answer to a question that is no longer open is one given twice, and changes nothing; its request is answered with how the
thread stands. (Pattern: Idempotent Receiver, Enterprise Integration Patterns.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langgraph.types import Command

from langgraph_integration.errors import InvalidRequestError, SupersededError
from langgraph_integration.resumption import CORRELATION_ID_KEY, Standing, WhatToDo, stand_of
from workflow_events.events import EventType

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.pregel import Pregel
    from langgraph.types import StateSnapshot

    from workflow_events.events import WorkflowEvent

__all__ = ["ROOT_KEY", "Plan", "Resume", "plan_of", "read_resume", "root_of"]

ROOT_KEY = "root_correlation_id"
"""Where in a checkpoint's metadata the request stands that began the run, on runs that went on from an answer."""


@dataclass(frozen=True, slots=True)
class Resume:
    """What a ``workflow.resume`` event says.

    Attributes:
        root: the id of the request that began the run.
        answers: by the questions' ids.
    """

    root: str
    answers: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a request stands, and what its run begins with if it is to run.

    Attributes:
        given: what goes into the graph where ``standing`` says to run it.
    """

    standing: Standing
    given: object

    @property
    def goes_on(self) -> bool:
        """Whether the run, if there is one, goes on with an earlier one's steps."""
        return isinstance(self.given, Command)


def read_resume(event: WorkflowEvent) -> Resume | None:
    """What the event says, if it answers a run's questions; None for an ordinary request.

    Raises:
        InvalidRequestError: it does not say which run, or has no answers.
    """
    if event.event_type != EventType.WORKFLOW_RESUME:
        return None
    data = event.payload.data
    answers = data.get("answers", {})
    try:
        root = str(UUID(str(data.get("correlation_id"))))
    except ValueError:
        raise InvalidRequestError(
            "A workflow.resume names the request whose run it goes on with in payload.data.correlation_id"
        ) from None
    if not isinstance(answers, dict):
        raise InvalidRequestError(
            "payload.data.answers of a workflow.resume is an object: an answer by its question's id"
        )
    if event.thread_id is None:
        raise InvalidRequestError("A workflow.resume names the thread that waits for it in thread_id")
    return Resume(root, answers)


def root_of(event: WorkflowEvent) -> str:
    """The id of the request that began the run which this request begins or goes on with."""
    resume = read_resume(event)
    return str(event.event_id) if resume is None else resume.root


async def plan_of(graph: Pregel[Any, Any, Any, Any], config: RunnableConfig, event: WorkflowEvent) -> Plan:
    """What is to be done for a request; the graph has a checkpointer.

    Raises:
        SupersededError: the thread has gone on with another request's run since.
        InvalidRequestError: as :func:`read_resume` does.
    """
    standing = await stand_of(graph, config, str(event.event_id))
    resume = read_resume(event)
    if resume is None or standing.what_to_do is not WhatToDo.RUN:
        return Plan(standing, event.payload.data)
    snapshot = standing.snapshot
    if resume.root not in _owners(snapshot):
        raise SupersededError(
            f"Thread {event.thread_id!r} does not stand at a question of request {resume.root}: "
            + ("it has gone on with another request" if snapshot.metadata else "there is no such thread")
        )
    open_ids = {interrupt.id for task in snapshot.tasks for interrupt in task.interrupts if task.result is None}
    answers = {name: answer for name, answer in resume.answers.items() if name in open_ids}
    if not answers:
        return Plan(Standing(WhatToDo.ANSWER, snapshot), None)
    return Plan(standing, Command(resume=answers))


def _owners(snapshot: StateSnapshot) -> set[object]:
    metadata: Any = snapshot.metadata or {}
    return {metadata.get(CORRELATION_ID_KEY), metadata.get(ROOT_KEY)}

"""The one error tree of the SDK, drawn at the head of the file.

::

    WorkflowEventsError
    ├── ConfigurationError (ValueError)
    ├── InvalidEventError (ValueError)
    ├── TransportError                        .retryable
    │   ├── BrokerUnavailableError (ConnectionError)
    │   ├── AccessDeniedError
    │   ├── TopicNotFoundError
    │   ├── MessageTooLargeError
    │   ├── ObjectStoreError (ConnectionError)
    │   ├── ResultStoreUnavailableError (ConnectionError)
    │   └── DeliveryError
    ├── ResultTimeoutError (TimeoutError)     .pending  .read_to
    │   ├── GatherTimeoutError                .missing  .results
    │   ├── NotAcceptedError                  .group  nobody took it within accepted_timeout
    │   └── WorkerSilentError                 .worker  .last_event  .silent_for
    ├── ResultUnavailableError
    ├── ClaimCheckError                       .retryable
    └── WorkflowResultError                   .event  .error_type  .error_message  .retryable
        ├── WorkflowFailedError               status "failure": it ran and says no
        ├── WorkflowErroredError              status "error": it broke
        ├── WorkflowCancelledError            status "cancelled"
        └── WorkflowInterruptedError          status "interrupted": it needs a human

Foreign errors (aiokafka, kafka-python, pydantic) are mapped into this tree in one place each, with ``from``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from workflow_events.indexes import show_indexes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workflow_events.events import WorkflowResultEvent
    from workflow_events.pending import PendingRequest
    from workflow_events.progress.group_report import GroupReport

__all__ = [
    "AccessDeniedError",
    "BrokerUnavailableError",
    "ClaimCheckError",
    "ConfigurationError",
    "DeliveryError",
    "GatherTimeoutError",
    "InvalidEventError",
    "MessageTooLargeError",
    "NotAcceptedError",
    "ObjectStoreError",
    "ResultStoreUnavailableError",
    "ResultTimeoutError",
    "ResultUnavailableError",
    "TopicNotFoundError",
    "TransportError",
    "WorkerSilentError",
    "WorkflowCancelledError",
    "WorkflowErroredError",
    "WorkflowEventsError",
    "WorkflowFailedError",
    "WorkflowInterruptedError",
    "WorkflowResultError",
]


class WorkflowEventsError(Exception):
    """Whatever this SDK raises on purpose."""


class ConfigurationError(WorkflowEventsError, ValueError):
    """A setting is missing, contradictory or not supported; the message says which and what to set."""


class InvalidEventError(WorkflowEventsError, ValueError):
    """Bytes or fields that are not the event they should be; the message names the fields."""


class TransportError(WorkflowEventsError):
    """Kafka, or the store of large payloads, could not do what was asked.

    Attributes:
        retryable: whether the same call may succeed later without anybody changing anything.
    """

    retryable: ClassVar[bool] = False


class BrokerUnavailableError(TransportError, ConnectionError):
    """No broker, no leader or too few replicas answered in time."""

    retryable = True


class AccessDeniedError(TransportError):
    """The broker refused the credentials, or the principal lacks a right."""


class TopicNotFoundError(TransportError):
    """A topic does not exist on the cluster."""


class MessageTooLargeError(TransportError):
    """A message is larger than the client or the broker takes."""


class ObjectStoreError(TransportError, ConnectionError):
    """The store of large payloads did not answer, or could not do what was asked."""

    retryable = True


class ResultStoreUnavailableError(TransportError, ConnectionError):
    """The result store did not answer, or cannot say what it was asked."""

    retryable = True


class DeliveryError(TransportError):
    """A publish was not confirmed; whether the broker stored the message is not known."""


class ResultTimeoutError(WorkflowEventsError, TimeoutError):
    """No result arrived before the deadline.

    Attributes:
        pending: the request that was waited for; it can be waited for again.
        read_to: how far the reply topic had been read, as ``{partition: next offset}``.
        cause: the reader's last error, if it still held.
        store: why the result store could not be asked; None where it could, or none is set.
    """

    def __init__(
        self,
        pending: PendingRequest,
        *,
        read_to: Mapping[int, int] | None = None,
        cause: str | None = None,
        store: str | None = None,
    ) -> None:
        self.pending = pending
        self.read_to: dict[int, int] = dict(read_to or {})
        self.cause = cause
        self.store = store
        super().__init__(self._describe())

    def _describe(self) -> str:
        pending = self.pending
        about = (
            f"No result for request {pending.correlation_id} (workflow {pending.workflow_id!r}, run "
            f"{pending.workflow_run_id!r}, attempt {pending.attempt}) on topic {pending.reply_topic!r} by its deadline "
            f"{pending.deadline.isoformat()}."
        )
        lines = [about, f"Read from {_offsets(pending.reply_cursor)} to {_offsets(self.read_to)}."]
        if self.cause:
            lines.append(f"The reader's last error: {self.cause}.")
        if self.cause or not self.read_to:
            lines.append("Check that this process can reach the broker and may read the topic.")
        else:
            lines.append(
                "Check that a worker serves this workflow and is not behind (its consumer group's lag), and that "
                "it publishes to this topic."
            )
        if self.store:
            lines.append(f"Nor could the result store be asked: {self.store.rstrip('.')}.")
        return " ".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_timeout, (type(self), self.pending, self.read_to, self.cause, self.store))


class GatherTimeoutError(ResultTimeoutError):
    """Too few of many requests were answered before the deadline.

    Attributes:
        missing: the requests without an answer.
        results: the answers that came, in the order of the requests; None for the missing.
        indexes: the places of the missing in that order, counted from 0.
    """

    def __init__(
        self,
        missing: Sequence[PendingRequest],
        results: Sequence[WorkflowResultEvent | None],
        *,
        read_to: Mapping[int, int] | None = None,
        cause: str | None = None,
        store: str | None = None,
    ) -> None:
        self.missing = list(missing)
        self.results = list(results)
        self.indexes = [index for index, result in enumerate(self.results) if result is None]
        super().__init__(self.missing[0], read_to=read_to, cause=cause, store=store)

    def _describe(self) -> str:
        answered = len(self.results) - len(self.missing)
        return (
            f"{answered} of {len(self.results)} requests were answered in time; without an answer (counted from 0): "
            f"{show_indexes(self.indexes)}. Of the first of them: {super()._describe()}"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_gather_timeout, (self.missing, self.results, self.read_to, self.cause, self.store))


class NotAcceptedError(ResultTimeoutError):
    """No worker took the request within its ``accepted_timeout``.

    Attributes:
        group: what the brokers tell of the workers' consumer group; None where they were not asked.
        unheard: why this side could not hear whether a worker took it; None where it could.
    """

    def __init__(
        self, pending: PendingRequest, *, group: GroupReport | None = None, unheard: str | None = None
    ) -> None:
        self.group = group
        self.unheard = unheard
        super().__init__(pending)

    def _describe(self) -> str:
        by = f" by {self.pending.accepted_by.isoformat()}" if self.pending.accepted_by else ""
        if self.unheard:
            return (
                f"Whether a worker took {_named(self.pending)}{by} is not known: {self.unheard.rstrip('.')}. The clock "
                "accepted_timeout needs the progress topic; make it readable, or ask without that clock."
            )
        about = f"No worker took {_named(self.pending)}{by}."
        return about if self.group is None else f"{about} {self.group.describe()}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_not_accepted, (self.pending, self.group, self.unheard))


class WorkerSilentError(ResultTimeoutError):
    """A worker took the request and has not been heard for ``heartbeat_timeout``.

    Attributes:
        worker: the worker process's id, where it gave one.
        last_event: what was heard last, such as ``"workflow.heartbeat in node 'plan'"``; None: nothing.
        silent_for: seconds since then.
        unheard: why this side could not hear the worker; None where it could.
    """

    def __init__(
        self,
        pending: PendingRequest,
        *,
        worker: str | None = None,
        last_event: str | None = None,
        silent_for: float = 0.0,
        unheard: str | None = None,
    ) -> None:
        self.worker = worker
        self.last_event = last_event
        self.silent_for = silent_for
        self.unheard = unheard
        super().__init__(pending)

    def _describe(self) -> str:
        if self.unheard:
            return (
                f"Whether a worker still runs {_named(self.pending)} is not known: {self.unheard.rstrip('.')}. The clock "
                "heartbeat_timeout needs the progress topic; make it readable, or ask without that clock."
            )
        return (
            f"Worker {self.worker or 'of no name'} took {_named(self.pending)} and has not been heard for "
            f"{self.silent_for:.1f} s; the last was {self.last_event or 'nothing'}. It is dead, frozen or cut off from the "
            "brokers. Check its process and its logs; a restarted worker goes on with the request, and it can be waited "
            "for again."
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (
            _rebuild_worker_silent,
            (self.pending, self.worker, self.last_event, self.silent_for, self.unheard),
        )


def _named(pending: PendingRequest) -> str:
    return (
        f"request {pending.correlation_id} (workflow {pending.workflow_id!r}, run {pending.workflow_run_id!r}, attempt "
        f"{pending.attempt})"
    )


def _rebuild_not_accepted(pending: PendingRequest, group: GroupReport | None, unheard: str | None) -> NotAcceptedError:
    return NotAcceptedError(pending, group=group, unheard=unheard)


def _rebuild_worker_silent(
    pending: PendingRequest, worker: str | None, last_event: str | None, silent_for: float, unheard: str | None
) -> WorkerSilentError:
    return WorkerSilentError(pending, worker=worker, last_event=last_event, silent_for=silent_for, unheard=unheard)


def _rebuild_gather_timeout(
    missing: list[PendingRequest],
    results: list[WorkflowResultEvent | None],
    read_to: dict[int, int],
    cause: str | None,
    store: str | None,
) -> GatherTimeoutError:
    return GatherTimeoutError(missing, results, read_to=read_to, cause=cause, store=store)


def _rebuild_timeout(
    kind: type[ResultTimeoutError],
    pending: PendingRequest,
    read_to: dict[int, int],
    cause: str | None,
    store: str | None,
) -> ResultTimeoutError:
    return kind(pending, read_to=read_to, cause=cause, store=store)


def _offsets(cursor: Mapping[int, int]) -> str:
    if not cursor:
        return "nothing"
    shown = ", ".join(f"{partition}:{offset}" for partition, offset in sorted(cursor.items())[:12])
    return f"{{{shown}{', …' if len(cursor) > 12 else ''}}}"


class ResultUnavailableError(WorkflowEventsError):
    """A result that is known by its place in the log cannot be read back (retention, a recreated topic)."""


class ClaimCheckError(WorkflowEventsError):
    """A payload that is kept in a store cannot be had from there.

    It is missing, expired or not what was put there, or no store is set; the message says which.

    Attributes:
        retryable: False; asking again finds the same.
    """

    retryable: ClassVar[bool] = False


class WorkflowResultError(WorkflowEventsError):
    """The workflow answered, and the answer is not a success.

    Attributes:
        event: the whole result event.
        error_type: the remote error's type, such as ``"builtins.ValueError"``; the status where it gave none.
        error_message: the remote error's message.
        retryable: the worker's judgement whether asking again may help; None where it gave none.
    """

    said: ClassVar[str] = "ended without success"

    def __init__(self, event: WorkflowResultEvent) -> None:
        self.event = event
        detail = event.error_detail
        self.error_type: str = detail.type if detail else event.status.value
        self.error_message: str = event.error or (detail.message if detail else "no message was given")
        self.retryable: bool | None = detail.retryable if detail else None
        where = f" in node {detail.node!r}" if detail and detail.node else ""
        kind = f"{detail.type}: " if detail else ""
        super().__init__(
            f"Workflow {event.workflow_id!r} {self.said}{where}: {kind}{self.error_message} "
            f"(request {event.correlation_id}, run {event.workflow_run_id!r})"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.event,))


class WorkflowFailedError(WorkflowResultError):
    """Status ``failure``: the workflow ran to an end and says no."""

    said = "says no"


class WorkflowErroredError(WorkflowResultError):
    """Status ``error``: the workflow broke."""

    said = "broke"


class WorkflowCancelledError(WorkflowResultError):
    """Status ``cancelled``: the run was stopped on request."""

    said = "was cancelled"


class WorkflowInterruptedError(WorkflowResultError):
    """Status ``interrupted``: the run stopped at a question that a human has to answer."""

    said = "waits for a human"

"""What a task remembers of its request, so that its next try goes on with it instead of paying again.

Airflow 3.3 keeps a small state for each task instance that outlives a try (``context["task_state_store"]``). The pending
request is kept there. The next try of the same request looks at once whether it has succeeded since, and otherwise asks again
under the same id and a higher attempt, reading from the first try's cursor: the worker that still has the run does not start
it twice, and a success of any attempt is taken, wherever in the log it stands. Below Airflow 3.3 the id alone suffices; then the
worker publishes the result once more.

A user's clear changes the id (:mod:`airflow_integration.identity`); what was kept for another id is not used.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from workflow_events.errors import InvalidEventError, ResultTimeoutError
from workflow_events.events import ResultStatus
from workflow_events.pending import PendingRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from workflow_events.client import WorkflowClient
    from workflow_events.events import WorkflowResultEvent

__all__ = ["STATE_KEY", "finished_since", "going_on_from", "looking_now", "recall", "remember", "successes_since"]

log = logging.getLogger(__name__)

STATE_KEY = "workflow_events.pending"
"""Under which the pending request stands in the task's state; of many, the first, which has what all share."""
_STORE = "task_state_store"


def remember(context: Mapping[str, Any], pending: PendingRequest) -> None:
    """Keep a request for the task's next try, where this Airflow can.

    Never raises: without it a retry costs a little more, and is right all the same.
    """
    store = context.get(_STORE)
    if store is None:
        return
    try:
        store.set(STATE_KEY, pending.to_json())
    except Exception as error:  # noqa: BLE001 - whatever the store's backend raises
        log.warning("Request %s cannot be kept for a retry: %s", pending.correlation_id, error)


def recall(context: Mapping[str, Any], correlation_id: UUID) -> PendingRequest | None:
    """What an earlier try kept of the request with this id; None where there is nothing."""
    store = context.get(_STORE)
    if store is None:
        return None
    try:
        kept = store.get(STATE_KEY)
    except Exception as error:  # noqa: BLE001 - as above
        log.warning("What an earlier try kept of request %s cannot be read: %s", correlation_id, error)
        return None
    if not isinstance(kept, dict):
        return None
    try:
        pending = PendingRequest.from_json(kept)
    except InvalidEventError:  # of another version of this package
        return None
    return pending if pending.correlation_id == correlation_id else None


def looking_now(earlier: PendingRequest, attempt: int) -> PendingRequest:
    """An earlier try's request as this try looks for it: in what the log holds, and no longer.

    As this attempt's, so that the earlier one's failure is passed over.
    """
    return earlier.model_copy(update={"attempt": attempt, "deadline": datetime.now(tz=UTC), **_NO_CLOCKS})


def going_on_from(earlier: PendingRequest | None, pending: PendingRequest) -> PendingRequest:
    """This try's request, to be waited for from where the earlier try would have read."""
    if earlier is None or earlier.reply_topic != pending.reply_topic:
        return pending
    if earlier.reply_partition != pending.reply_partition:
        return pending
    return pending.model_copy(update={"reply_cursor": earlier.reply_cursor})


def finished_since(client: WorkflowClient, earlier: PendingRequest, attempt: int) -> WorkflowResultEvent | None:
    """The success of an earlier try's request, if it is there by now.

    Raises:
        TransportError: the broker refuses.
    """
    try:
        result = client.wait(looking_now(earlier, attempt))
    except ResultTimeoutError:
        return None
    return result if result.status is ResultStatus.SUCCESS else None


def successes_since(
    client: WorkflowClient, earlier: PendingRequest, correlation_ids: Sequence[UUID], attempt: int
) -> list[WorkflowResultEvent | None]:
    """For each of many requests its success, if it is there by now.

    Args:
        earlier: the first of them, as an earlier try kept it.
        correlation_ids: of all, in order.

    Raises:
        TransportError: the broker refuses.
    """
    look = looking_now(earlier, attempt)
    requests = [look.model_copy(update={"correlation_id": one}) for one in correlation_ids]
    found = client.wait_many(requests, return_partial_on_timeout=True)
    return [one if one is not None and one.status is ResultStatus.SUCCESS else None for one in found]


_NO_CLOCKS: dict[str, Any] = {
    name: None
    for name in ("accepted_timeout", "heartbeat_timeout", "accepted_by")
    if name in PendingRequest.model_fields
}
"""Who looks at what is there waits for no sign of life."""

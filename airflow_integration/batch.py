"""Many pending requests of one task, written down as one: what they share once, then an id each.

Ten thousand make 400 KB of JSON. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict
from uuid import UUID

from workflow_events.errors import InvalidEventError
from workflow_events.pending import PendingRequest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["PackedRequests", "pack", "unpack"]


class PackedRequests(TypedDict):
    """Many requests, as plain JSON.

    Attributes:
        shared: the fields of a :class:`~workflow_events.pending.PendingRequest` that are the same for all.
        correlation_ids: the id of each, in order.
    """

    shared: dict[str, Any]
    correlation_ids: list[str]


def pack(requests: Sequence[PendingRequest]) -> PackedRequests:
    """Requests that were made together, at least one.

    Raises:
        ValueError: they differ in more than their ids.
    """
    first = requests[0]
    alike = {"correlation_id": first.correlation_id}
    if any(request.model_copy(update=alike) != first for request in requests):
        raise ValueError("Only requests that share everything but their ids are written down as one.")
    shared = first.to_json()
    del shared["correlation_id"]
    return {"shared": shared, "correlation_ids": [str(request.correlation_id) for request in requests]}


def unpack(packed: PackedRequests) -> list[PendingRequest]:
    """What :func:`pack` was given.

    Raises:
        InvalidEventError: it is not what that function made.
    """
    try:
        shared, ids = packed["shared"], [UUID(one) for one in packed["correlation_ids"]]
        first = PendingRequest.from_json({**shared, "correlation_id": ids[0]})
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InvalidEventError(f"Not the requests of a gather, as its trigger has them: {error!r}.") from error
    return [first.model_copy(update={"correlation_id": one}) for one in ids]

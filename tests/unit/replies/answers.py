"""Results as they come over the wire in all their shapes, and the contract on which of them answers whom.

The contract is said here once more, without the code under test.
"""

from __future__ import annotations

from uuid import UUID

from hypothesis import strategies as st

from workflow_events import PendingRequest, ResultStatus, WorkflowResultEvent, wire

REQUESTS = 3
ATTEMPTS = 3

Headers = list[tuple[str, bytes | None]]

WHOLE = ["ours", "bare", "shouted", "nameless"]
SHAPES = st.just("ours") | st.sampled_from(
    ["ours", "bare", "shouted", "nameless", "forged", "cut", "no text", "tombstone"]
)
STATUSES = st.sampled_from(ResultStatus)
# One more than is asked for: the last belongs to a stranger.
IDS = st.integers(0, REQUESTS)


def id_of(request: int) -> UUID:
    """The correlation id of one of the requests, with letters that can be written small or big."""
    return UUID(int=0xABCDEF << 96 | request)


def message(
    request: int, shape: str, status: ResultStatus, attempt: int | None, *, run: str = "r"
) -> tuple[bytes | None, Headers]:
    """The value and the headers of a result.

    Args:
        shape: ``ours``; ``bare`` of headers; ``shouted``, its id in capitals; ``nameless``, with a header that has no value;
            ``forged``, with another request's id in its header; or broken in one of three ways.
        run: the workflow_run_id, which tells this result from all others.
    """
    event = WorkflowResultEvent(
        correlation_id=id_of(request), workflow_id="w", workflow_run_id=run, status=status, attempt=attempt
    )
    made = wire.result_message(event, topic="t")
    value, headers = made.value, Headers(made.headers)
    name = str(event.correlation_id).encode()
    shapes: dict[str, tuple[bytes | None, Headers]] = {
        "ours": (value, headers),
        "bare": (value, []),
        "shouted": (value, [("first", b"x"), (wire.HEADER_CORRELATION_ID, name.upper())]),
        "nameless": (value, [(wire.HEADER_CORRELATION_ID, None)]),
        "forged": (value, [(wire.HEADER_CORRELATION_ID, str(id_of((request + 1) % REQUESTS)).encode())]),
        "cut": (value[:-5], headers),
        "no text": (b"\xff\x00", headers),
        "tombstone": (None, headers),
    }
    return shapes[shape]


def answers(pending: PendingRequest, value: bytes | None, headers: Headers) -> bool:
    """Whether a message is an answer to a request: its own, whole, and no failure of an earlier attempt."""
    try:
        event = WorkflowResultEvent.model_validate_json(value or b"")
    except ValueError:
        return False
    mine = str(pending.correlation_id)
    named = next((header for name, header in headers if name == "correlation-id"), None)
    if str(event.correlation_id) != mine or (named is not None and named.decode().lower() != mine):
        return False
    return event.status == "success" or event.attempt is None or event.attempt >= pending.attempt

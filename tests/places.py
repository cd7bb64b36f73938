"""Where a reply lies in its log, for tests whose replies come from there and not from a result store."""

from __future__ import annotations

from workflow_events.replies.records import RecordPosition, Reply


def place_of(reply: Reply) -> RecordPosition:
    """Its position."""
    assert reply.position is not None
    return reply.position

"""The ids of a live stream's events: where the stream stands in its topic, as text. Pure.

``0:12,1:44`` says: of partition 0 all before offset 12 is known, of partition 1 all before 44. A client that comes back says the
last one that it has seen (``Last-Event-ID``), and any server can go on from there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from result_store.errors import InvalidCursorError

if TYPE_CHECKING:
    from workflow_events.replies.cursor import Cursor

__all__ = ["parse", "text"]

_ID: Final = re.compile(r"[0-9]{1,9}:[0-9]{1,18}(?:,[0-9]{1,9}:[0-9]{1,18})*")
_LONGEST: Final = 65_536


def text(cursor: Cursor) -> str:
    """A cursor as an event's id."""
    return ",".join(f"{partition}:{offset}" for partition, offset in sorted(cursor.items()))


def parse(given: str) -> dict[int, int]:
    """An event's id as a cursor.

    Raises:
        InvalidCursorError: it is none.
    """
    if len(given) > _LONGEST or not _ID.fullmatch(given):
        raise InvalidCursorError(
            "Last-Event-ID is no id of this stream's events: send the last one as it came, or none to begin with what is new."
        )
    pairs = (pair.split(":") for pair in given.split(","))
    return {int(partition): int(offset) for partition, offset in pairs}

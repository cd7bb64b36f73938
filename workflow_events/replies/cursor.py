"""Where to start reading, as plain arithmetic on offsets.

A cursor maps a partition to the first offset to read there. The reply cursor of a request holds the reply topic's end
offsets from before the request was published, so its result cannot lie before it. A partition that a cursor does not
name did not exist when it was taken, and is read from its start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = [
    "Clamped",
    "Cursor",
    "advance",
    "clamp",
    "clamp_all",
    "distance",
    "earliest",
    "from_times",
    "is_behind",
    "reached",
]

Cursor = Mapping[int, int]
"""``{partition: first offset to read}``"""


def reading_from(cursor: Cursor, only: int | None, positions: Cursor) -> Cursor:
    """The cursor, for a reader of all partitions, of one who waits in the partition ``only``.

    What other partitions hold is none of its business, and counts as read.
    """
    return cursor if only is None else {**positions, only: cursor.get(only, 0)}


def is_behind(cursor: Cursor, positions: Cursor) -> bool:
    """Whether a reader at ``positions`` has passed records that the cursor's owner has yet to see."""
    return any(cursor.get(partition, 0) < position for partition, position in positions.items())


def reached(positions: Cursor, stop: Cursor) -> bool:
    """Whether a reader at ``positions`` has read everything before ``stop``."""
    return all(positions.get(partition, 0) >= offset for partition, offset in stop.items())


def earliest(cursors: Iterable[Cursor], partitions: Iterable[int]) -> dict[int, int]:
    """The cursor at which one scan serves all of ``cursors``: the lowest offset of each partition."""
    every = list(cursors)
    return {partition: min((cursor.get(partition, 0) for cursor in every), default=0) for partition in partitions}


def distance(positions: Cursor, cursor: Cursor) -> int:
    """How many records lie between a reader and a cursor that is ahead of it in every partition; else 0."""
    if is_behind(cursor, positions):
        return 0
    return sum(offset - positions.get(partition, 0) for partition, offset in cursor.items())


def advance(positions: dict[int, int], partition: int, next_offset: int) -> None:
    """Move one partition of ``positions`` on, never back."""
    if next_offset > positions.get(partition, 0):
        positions[partition] = next_offset


@dataclass(frozen=True, slots=True)
class Clamped:
    """A cursor made to fit the log.

    Attributes:
        start: the cursor to read from.
        lost: partitions whose cursor lay below the log's start: retention has taken records that were never read.
        rewound: partitions whose cursor lay above the log's end: the topic was made anew, or an unclean election cut
            it. They are read from their start, since offsets from before mean nothing there.
    """

    start: dict[int, int]
    lost: tuple[int, ...] = ()
    rewound: tuple[int, ...] = ()

    def joined(self, other: Clamped) -> Clamped:
        """The cursor that serves the owners of both; an empty one has no owner."""
        if not self.start:
            return other
        return Clamped(
            earliest((self.start, other.start), self.start),
            tuple(sorted({*self.lost, *other.lost})),
            tuple(sorted({*self.rewound, *other.rewound})),
        )

    def describe(self, topic: str) -> str | None:
        """What happened to the log, for a warning; None where the cursor fitted."""
        said = []
        if self.lost:
            said.append(
                f"the log of {topic!r} now starts after the cursor in partition {_join(self.lost)} (retention took "
                "records; raise the topic's retention above the longest wait)"
            )
        if self.rewound:
            said.append(
                f"the log of {topic!r} ends before the cursor in partition {_join(self.rewound)} (the topic was made "
                "anew or truncated); reading it from its start"
            )
        return "; ".join(said) or None


def clamp(cursor: Cursor, beginning: Cursor, end: Cursor) -> Clamped:
    """Fit a cursor into a log that runs from ``beginning`` to ``end`` (exclusive), partition by partition."""
    return clamp_all([cursor], beginning, end)


def clamp_all(cursors: Iterable[Cursor], beginning: Cursor, end: Cursor) -> Clamped:
    """Fit each of many cursors into the log, then take the earliest, at which one scan serves all.

    Partition by partition, over the different offsets there: of ten thousand cursors most have few.
    """
    every = list(cursors)
    start: dict[int, int] = {}
    lost: list[int] = []
    rewound: list[int] = []
    for partition, last in sorted(end.items()):
        first = beginning.get(partition, 0)
        # A partition that the cursor does not name was to be read from its start, wherever that is now.
        offsets = {cursor.get(partition, first) for cursor in every}
        beyond = any(offset > last for offset in offsets)
        below = any(offset < first for offset in offsets)
        if beyond:
            rewound.append(partition)
        if below:
            lost.append(partition)
        start[partition] = first if beyond or below else min(offsets, default=first)
    return Clamped(start, tuple(lost), tuple(rewound))


def from_times(found: Mapping[int, tuple[int, int] | None], beginning: Cursor, end: Cursor) -> dict[int, int]:
    """A cursor from a broker's answer to a look-up by time (KIP-79).

    Args:
        found: offset and timestamp (Unix milliseconds) of each partition's first record at or after the time; None
            where a partition has no such record. A broker without a time index answers a timestamp of -1, and the
            partition is then read from its start.
        beginning, end: the log's extent, taken before the look-up.
    """
    cursor: dict[int, int] = {}
    for partition, last in end.items():
        answer = found.get(partition)
        if answer is None:
            cursor[partition] = last
        else:
            offset, timestamp = answer
            cursor[partition] = offset if timestamp >= 0 else beginning.get(partition, 0)
    return cursor


def _join(partitions: Iterable[int]) -> str:
    return ", ".join(str(partition) for partition in partitions)

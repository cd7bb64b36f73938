"""Which requests of one partition have crashed their workers, and how often: a count that outlives the workers.

The marks travel as the metadata of the partition's committed offset, which Kafka keeps with the offset (up to 4,096 bytes by
default) and hands to whoever takes the partition up. So they need no topic, no store and no right of their own, are as durable
as the offset is, and end with it: what is below the committed offset has no marks. Nobody but the partition's owner can write
them, for the group's generation fences commits.

A worker notes which requests it has begun. When it gives a partition back, it takes its notes away; when it dies, they stay, and
the next owner charges each request that stands there with one crash. Sixteen may have been running when one of them killed the
worker. So that the other fifteen are not buried with it, a request that is one crash short of the limit is put *on trial*: such
requests run one at a time in a worker, and a worker that dies in a trial has that one charged and no other.

Beside the marks travels which requests above the floor are done with, so that the next owner passes them over
(:mod:`~langgraph_integration.finished_offsets`).
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, Final

from langgraph_integration.finished_offsets import read_finished, write_finished

__all__ = ["LONGEST_MARKS", "StartMarks"]

LONGEST_MARKS: Final = 3_500
"""Bytes. Brokers take 4,096 (``offset.metadata.max.bytes``)."""

_VERSION: Final = 1
_MOST_CRASHES: Final = 1_000_000


class StartMarks:
    """The marks of one partition that is held, or is about to be.

    Attributes:
        wary: whether the last owner died without giving the partition back. Then a start is to be stored before the run
            begins. Else it may be stored with the next commit, so that a run waits for nothing.
        finished: the offsets above the floor that the last owner was done with.
    """

    def __init__(self) -> None:
        self.wary = False
        self.finished: frozenset[int] = frozenset()
        self._crashes: dict[int, int] = {}
        self._begun: set[int] = set()
        self._on_trial: set[int] = set()

    @classmethod
    def read(cls, text: str | None, *, floor: int) -> StartMarks:
        """The marks that the last owner left, each request that it had begun charged with one crash.

        Args:
            text: the committed offset's metadata. Never raises: what others wrote there is no mark.
            floor: the committed offset.
        """
        marks = cls()
        said = _parse(text)
        if said is None:
            return marks
        marks.finished = read_finished(said.get("finished"), floor=floor)
        marks._crashes = {
            floor + distance: crashes
            for distance, crashes in _pairs(said.get("crashes"))
            if 0 < crashes <= _MOST_CRASHES
        }
        marks.wary = said.get("held") is True
        if marks.wary:
            trial = said.get("trial")
            for distance in _numbers(trial if isinstance(trial, list) else said.get("begun")):
                marks._crashes[floor + distance] = marks._crashes.get(floor + distance, 0) + 1
        return marks

    def crashes(self, offset: int) -> int:
        """How many workers the request at ``offset`` has crashed."""
        return self._crashes.get(offset, 0)

    def begin(self, offset: int, *, on_trial: bool) -> None:
        """The run of the request begins."""
        self._begun.add(offset)
        if on_trial:
            self._on_trial.add(offset)

    def hand_back(self, offset: int) -> None:
        """The request is no longer run here, and the worker lives; its crashes stay."""
        self._begun.discard(offset)
        self._on_trial.discard(offset)

    def settle(self, offset: int) -> None:
        """The request is done with."""
        self.hand_back(offset)
        self._crashes.pop(offset, None)

    def write(self, *, floor: int, held: bool, trial: bool, finished: Collection[int] = ()) -> str:
        """The metadata to commit with ``floor``; empty where there is nothing to say.

        Args:
            floor: the offset that is committed.
            held: whether the partition stays with this worker.
            trial: whether any request is on trial in this worker, of this partition or another.
            finished: offsets above the floor that are done with; none of them counts as begun.
        """
        done = write_finished(finished, floor=floor)
        crashes = {
            offset - floor: count
            for offset, count in sorted(self._crashes.items())
            if offset >= floor and offset not in finished
        }
        begun = [offset - floor for offset in sorted(self._begun) if offset >= floor and offset not in finished]
        on_trial = None
        if trial:
            on_trial = [
                offset - floor for offset in sorted(self._on_trial) if offset >= floor and offset not in finished
            ]
        text = _write(crashes, begun, on_trial, done, held=held)
        while len(text) > LONGEST_MARKS:
            # The least that is known of is given up first: what has crashed nobody, then what lies furthest back.
            fresh = [distance for distance in begun if distance not in crashes]
            if fresh:
                begun = [distance for distance in begun if distance in crashes] + fresh[: len(fresh) // 2]
            else:
                crashes = dict(sorted(crashes.items(), key=lambda one: -one[1])[: len(crashes) // 2])
                begun = [distance for distance in begun if distance in crashes]
            text = _write(crashes, begun, on_trial, done, held=held)
        return text


def _write(crashes: dict[int, int], begun: list[int], on_trial: list[int] | None, finished: str, *, held: bool) -> str:
    if not held and not crashes and not finished:
        return ""
    said: dict[str, Any] = {"marks": _VERSION}
    if finished:
        said["finished"] = finished
    if crashes:
        said["crashes"] = list(crashes.items())
    if held:
        said["held"] = True
        if begun:
            said["begun"] = begun
        if on_trial is not None:
            said["trial"] = on_trial
    return json.dumps(said, separators=(",", ":"))


def _parse(text: str | None) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) and said.get("marks") == _VERSION else None


def _numbers(found: object) -> list[int]:
    return [one for one in found if type(one) is int and one >= 0] if isinstance(found, list) else []


def _pairs(found: object) -> list[tuple[int, int]]:
    pairs = [_numbers(one) for one in found] if isinstance(found, list) else []
    return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]

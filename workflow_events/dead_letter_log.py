"""Dead-letter topics on the broker: reading all letters, and replaying one, once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from uuid import UUID

from workflow_events.dead_letters import (
    DeadLetter,
    LetterPosition,
    ReplayStage,
    note_message,
    read_letters,
    replay_message,
)
from workflow_events.errors import TopicNotFoundError, WorkflowEventsError
from workflow_events.replies.sync_log import SyncLog
from workflow_events.transport import blocking

if TYPE_CHECKING:
    from workflow_events.dead_letters import StoredMessage
    from workflow_events.settings import KafkaSettings

__all__ = ["DeadLetterLog", "LetterFilter", "NoSuchLetterError", "ReplayRefusedError"]

_POLL = 0.25  # seconds
_LOOKS_BEYOND = 2  # the embedded broker's end offset may be too low


class NoSuchLetterError(WorkflowEventsError):
    """There is no dead letter at that position, or of that request."""


class ReplayRefusedError(WorkflowEventsError):
    """A letter is not replayed: it was already, or the original value is not in it."""


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters are meant.

    Attributes:
        reasons: words such as ``poison``; empty: any.
        correlation_id: of one request; None: of any.
        replayed: True: only those replayed; False: only those not; None: both.
    """

    reasons: frozenset[str] = frozenset()
    correlation_id: UUID | None = None
    replayed: bool | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether a letter is one of them."""
        return (
            (not self.reasons or letter.code in self.reasons)
            and (self.correlation_id is None or letter.correlation_id == self.correlation_id)
            and (self.replayed is None or letter.replayed is self.replayed)
        )


EVERYTHING = LetterFilter()


class DeadLetterLog:
    """The dead letters of one cluster.

    Args:
        settings: name the cluster and the topics.

    Every method raises ``TransportError`` where the broker cannot be asked or refuses.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings

    def sources(self) -> list[str]:
        """The topics that have a dead-letter topic."""
        settings = self.settings
        return [settings.workflow_events_topic, settings.workflow_results_topic, settings.workflow_control_topic]

    def letters(self, sources: Sequence[str] = (), wanted: LetterFilter = EVERYTHING) -> list[DeadLetter]:
        """The letters that lie there now, in the order of their positions.

        Args:
            sources: the topics whose letters are read; none: all.
            wanted: which of them.

        Raises:
            TopicNotFoundError: a topic that was named has no dead-letter topic.
        """
        found: list[DeadLetter] = []
        for source in sources or self.sources():
            try:
                found += self._read(self.settings.dead_letter_topic(source))
            except TopicNotFoundError:
                if sources:
                    raise
        return sorted((letter for letter in found if wanted.takes(letter)), key=lambda letter: letter.position)

    def find(self, which: str) -> DeadLetter:
        """One letter.

        Args:
            which: its position, as ``topic:partition:offset``, or its request's id, of which the last letter counts.

        Raises:
            NoSuchLetterError: there is none.
        """
        position = LetterPosition.parse(which)
        if position is not None:
            self._source_of(position)
            letters = [letter for letter in self._read(position.topic) if letter.position == position]
        else:
            try:
                correlation_id = UUID(which)
            except ValueError:
                raise NoSuchLetterError(
                    f"{which!r} is neither a position (topic:partition:offset) nor a request's id."
                ) from None
            letters = self.letters(wanted=LetterFilter(correlation_id=correlation_id))
        if not letters:
            raise NoSuchLetterError(
                f"There is no dead letter {which} at {self.settings.bootstrap_servers}; `workflow-events dlq list` shows "
                "those that are there."
            )
        return letters[-1]

    def replay(self, letters: Iterable[DeadLetter], *, force: bool = False) -> list[LetterPosition]:
        """Publish original messages again, where they came from, each at most once.

        A note is put behind the letter first, and the topic read again: of two who replay one letter at the same time, the one
        whose note lies in front goes on. A second note says that it is done.

        Args:
            letters: as they were read.
            force: also those that were replayed before.

        Returns:
            The positions of the letters that were replayed.

        Raises:
            ReplayRefusedError: a letter was replayed before, or does not hold the original value. Those in front of it are
                replayed.
        """
        done: list[LetterPosition] = []
        with closing(blocking.new_producer(self.settings)) as producer:
            for letter in letters:
                source = self._source_of(letter.position)
                self._check(letter, force=force)
                timeout = self.settings.request_timeout
                note = blocking.send(producer, note_message(letter.position, ReplayStage.BEGUN), timeout)
                if not force:
                    self._check_first(letter.position, note.offset)
                blocking.send(producer, replay_message(letter, topic=source), timeout)
                blocking.send(producer, note_message(letter.position, ReplayStage.DONE), timeout)
                done.append(letter.position)
        return done

    def _check(self, letter: DeadLetter, *, force: bool) -> None:
        if letter.left_out is not None:
            raise ReplayRefusedError(
                f"Dead letter {letter.position} does not hold the original value, which was too large ({letter.left_out} bytes); "
                f"it lay at {letter.origin.topic}:{letter.origin.partition}:{letter.origin.offset}."
            )
        if letter.replayed and not force:
            half = "" if ReplayStage.DONE in letter.replays else ", and it is not known whether it got through"
            raise ReplayRefusedError(
                f"Dead letter {letter.position} was replayed before{half}; --force replays it once more."
            )

    def _check_first(self, position: LetterPosition, note: int) -> None:
        for letter in self._read(position.topic):
            if letter.position == position and any(offset < note for offset in letter.begun_at):
                raise ReplayRefusedError(f"Dead letter {position} is being replayed by somebody else at this moment.")

    def _source_of(self, position: LetterPosition) -> str:
        for source in self.sources():
            if self.settings.dead_letter_topic(source) == position.topic:
                return source
        raise NoSuchLetterError(
            f"{position.topic!r} is no dead-letter topic of these settings; those are "
            f"{', '.join(map(self.settings.dead_letter_topic, self.sources()))}."
        )

    def _read(self, topic: str) -> list[DeadLetter]:
        """All letters of a topic, up to where it ends now."""
        seconds = self.settings.request_timeout
        log = SyncLog(self.settings, topic)
        try:
            cursor = log.beginning(seconds)
            end = log.end(seconds)
            log.read_from(cursor, seconds)
            records = []
            looks_left = _LOOKS_BEYOND
            while looks_left:
                for batch in log.poll(_POLL).values():
                    records += batch
                if _reached(log.position(cursor, seconds), end):
                    looks_left -= 1
            return read_letters(cast("list[StoredMessage]", records))
        finally:
            log.disconnect()


def _reached(position: dict[int, int], end: dict[int, int]) -> bool:
    return all(position.get(partition, 0) >= offset for partition, offset in end.items())

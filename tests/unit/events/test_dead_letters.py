"""A dead letter on the wire: written, read, replayed, and never believed further than it can be."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from workflow_events.dead_letters import (
    DeadLetter,
    DeadLetterReason,
    LetterPosition,
    ReplayStage,
    letter_message,
    note_message,
    read_letters,
    replay_message,
    without_value,
)
from workflow_events.wire import OutgoingMessage


@dataclasses.dataclass
class Stored:
    value: bytes | None = b"\xff{"
    headers: list[tuple[str, bytes | None]] = dataclasses.field(default_factory=list)
    key: bytes | None = b"key"
    topic: str = "requests"
    partition: int = 3
    offset: int = 17
    timestamp: int = 1_700_000_000_000


def letter(stack: str | None = None, **original: Any) -> OutgoingMessage:
    return letter_message(
        Stored(**original), DeadLetterReason.INVALID_JSON, "no JSON", topic="requests.dlq", stack=stack
    )


def stored(message: OutgoingMessage, offset: int = 0, partition: int = 0) -> Stored:
    return Stored(message.value, list(message.headers), message.key, message.topic, partition, offset)


def read(*messages: OutgoingMessage) -> list[DeadLetter]:
    return read_letters([stored(message, offset) for offset, message in enumerate(messages)])


def test_a_dead_letter_keeps_the_original_and_says_why_and_whence() -> None:
    message = letter(headers=[("a", b"1"), ("b", None)])
    assert (message.topic, message.value, message.key) == ("requests.dlq", b"\xff{", b"key")
    assert message.headers == [
        ("a", b"1"),
        ("b", b""),
        ("dead-letter-code", b"invalid-json"),
        ("dead-letter-reason", b"no JSON"),
        ("dead-letter-topic", b"requests"),
        ("dead-letter-partition", b"3"),
        ("dead-letter-offset", b"17"),
        ("dead-letter-timestamp", b"1700000000000"),
    ]


def test_a_stack_that_is_too_long_keeps_its_end() -> None:
    stack = dict(letter(stack="x" * 20_000 + "the end").headers)["dead-letter-stack"]
    assert len(stack) <= 8_000
    assert stack.endswith(b"the end")


def test_a_dead_letter_that_is_too_large_keeps_its_place() -> None:
    message = without_value(letter(value=b"x" * 100, headers=[("a", b"1")]))
    [found] = read(message)
    assert message.value == b""
    assert (found.origin.topic, found.origin.partition, found.origin.offset) == ("requests", 3, 17)
    assert found.left_out == 100
    assert found.headers == []


def test_what_is_read_is_what_was_written() -> None:
    [found] = read(letter(stack="a stack", headers=[("a", b"1")]))
    assert (found.code, found.reason, found.stack) == ("invalid-json", "no JSON", "a stack")
    assert (found.key, found.value, found.headers) == (b"key", b"\xff{", [("a", b"1")])
    assert str(found.position) == "requests.dlq:0:0"
    assert found.origin.time is not None
    assert found.origin.time.year == 2023
    assert not found.replayed


def test_a_replay_is_the_original_again_and_names_its_letter() -> None:
    [found] = read(letter(headers=[("a", b"1"), ("reply-topic", b"r")]))
    again = replay_message(found, topic="requests")
    assert (again.topic, again.value, again.key) == ("requests", b"\xff{", b"key")
    assert again.headers == [("a", b"1"), ("reply-topic", b"r"), ("replay-of", b"requests.dlq:0:0")]


def test_a_replay_that_dies_again_names_only_its_own_letter() -> None:
    [found] = read(letter(headers=[("replay-of", b"requests.dlq:0:99")]))
    assert replay_message(found, topic="requests").headers == [("replay-of", b"requests.dlq:0:0")]


def test_notes_behind_a_letter_say_that_it_was_replayed() -> None:
    [first, second] = read(
        letter(),
        letter(),
        note_message(LetterPosition("requests.dlq", 0, 1), ReplayStage.BEGUN),
        note_message(LetterPosition("requests.dlq", 0, 1), ReplayStage.DONE),
    )
    assert not first.replayed
    assert second.replays == [ReplayStage.BEGUN, ReplayStage.DONE]


def test_an_original_message_cannot_pass_for_a_note_nor_name_another_place() -> None:
    # Given a message that brings our headers of its own
    forged = [
        ("dead-letter-note", b"replay-done"),
        ("dead-letter-note-about", b"requests.dlq:0:0"),
        ("dead-letter-topic", b"elsewhere"),
        ("dead-letter-code", b"poison"),
    ]
    # When it becomes a letter
    found = read(letter(), letter(value=b"", headers=forged))
    # Then it is one, the other is not replayed, and what we say counts
    assert [one.replayed for one in found] == [False, False]
    assert (found[1].code, found[1].origin.topic) == ("invalid-json", "requests")


def test_a_note_of_another_partition_is_nobodys() -> None:
    note = note_message(LetterPosition("requests.dlq", 0, 0), ReplayStage.DONE)
    [found] = read_letters([stored(letter(), 0, partition=0), stored(note, 1, partition=1)])
    assert not found.replayed


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("dead-letter-offset", b"\xff"), ("dead-letter-timestamp", b"9" * 30)],
        [("dead-letter-timestamp", b"9" * 19)],
        [("dead-letter-note", b"nonsense")],
        [("dead-letter-note", None), ("dead-letter-note-about", b":::")],
    ],
)
def test_what_others_wrote_into_the_topic_stops_nobody(headers: list[tuple[str, bytes | None]]) -> None:
    for found in read_letters([Stored(headers=headers, timestamp=-1)]):
        assert found.origin.offset is None


@pytest.mark.parametrize("text", ["", "a", "a:1", ":1:2", "a:b:2", "a:1:-2", "a:1:²", "a:1:" + "9" * 40])
def test_a_text_that_is_no_position_names_none(text: str) -> None:
    assert LetterPosition.parse(text) is None


def test_a_position_is_read_as_it_is_written() -> None:
    position = LetterPosition("requests.dlq", 2, 17)
    assert LetterPosition.parse(str(position)) == position

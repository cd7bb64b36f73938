"""Dead letters on every broker: listed, shown, and replayed once."""

from __future__ import annotations

import base64
import json
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from workflow_events.cli import app
from workflow_events.dead_letter_log import DeadLetterLog, ReplayRefusedError
from workflow_events.dead_letters import (
    DeadLetterReason,
    LetterPosition,
    ReplayStage,
    letter_message,
    note_message,
    without_value,
)
from workflow_events.replies.sync_log import SyncLog
from workflow_events.settings import KafkaSettings
from workflow_events.transport import blocking
from workflow_events.wire import OutgoingMessage

ID = uuid4()
VALUE = b'\xff{"secret \x1b[2J": [1]}'


class Original:
    key: bytes | None = b"key"
    value: bytes | None = VALUE
    partition, offset, timestamp = 2, 17, 1_700_000_000_000

    def __init__(self, topic: str, headers: list[tuple[str, bytes | None]] | None = None) -> None:
        self.topic = topic
        self.headers = headers or []


@pytest.fixture(autouse=True)
def _logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sets up logging for its process, and here that is the tests'."""
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)


@pytest.fixture
def letters(kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    """Settings that the command finds in its environment, and four dead letters."""
    for name in ("bootstrap_servers", "workflow_events_topic", "workflow_results_topic", "workflow_control_topic"):
        monkeypatch.setenv(f"KAFKA_{name.upper()}", getattr(kafka_settings, name))
    requests, control = kafka_settings.workflow_events_topic, kafka_settings.workflow_control_topic
    with_id = Original(requests, [("correlation-id", str(ID).encode()), ("reply-topic", b"r")])
    poison, invalid = DeadLetterReason.POISON, DeadLetterReason.INVALID_JSON
    publish(
        kafka_settings,
        letter_message(with_id, poison, "it kills", topic=f"{requests}.dlq", stack="Traceback [red]x"),
        letter_message(Original(requests), invalid, "no JSON", topic=f"{requests}.dlq"),
        without_value(letter_message(Original(requests), invalid, "too large", topic=f"{requests}.dlq")),
        letter_message(Original(control), invalid, "no JSON", topic=f"{control}.dlq"),
    )
    return kafka_settings


def publish(settings: KafkaSettings, *messages: OutgoingMessage) -> None:
    with closing(blocking.new_producer(settings)) as producer:
        for message in messages:
            blocking.send(producer, message, 30)


def all_records(settings: KafkaSettings, topic: str) -> list[Any]:
    log = SyncLog(settings, topic)
    try:
        end = log.end(10)
        log.read_from(log.beginning(10), 10)
        found: list[Any] = []
        while sum(end.values()) > sum(log.position(end, 10).values()) or len(found) < sum(end.values()):
            for batch in log.poll(0.5).values():
                found += batch
        return found
    finally:
        log.disconnect()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["dlq", *arguments])


def listed(*arguments: str) -> list[dict[str, Any]]:
    result = run("list", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_letters_are_listed_and_filtered_by_topic_reason_and_request(letters: KafkaSettings) -> None:
    requests, control = letters.workflow_events_topic, letters.workflow_control_topic
    assert len(listed()) == 4
    assert [one["position"] for one in listed("--topic", control)] == [f"{control}.dlq:0:0"]
    assert [one["position"] for one in listed("--reason", "poison")] == [f"{requests}.dlq:0:0"]
    assert [one["offset"] for one in listed("--topic", requests, "--reason", "invalid-json")] == [17, 17]
    assert [one["correlation_id"] for one in listed("--id", str(ID))] == [str(ID)]
    table = run("list", "--reason", "poison").stdout
    assert f"{requests}.dlq:0:0" in table
    assert "it kills" in table


def test_a_letter_is_shown_whole_and_nothing_of_it_acts_on_the_terminal(letters: KafkaSettings) -> None:
    shown = run("show", str(ID))
    as_json = json.loads(run("show", f"{letters.workflow_events_topic}.dlq:0:0", "--json").stdout)
    raw = run("show", str(ID), "--raw")
    assert shown.exit_code == 0, shown.stderr
    assert "Traceback [red]x" in shown.stdout
    assert "reply-topic" in shown.stdout
    assert f"{letters.workflow_events_topic}:2:17" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert base64.b64decode(as_json["value"]) == VALUE
    assert raw.stdout_bytes == VALUE


def test_a_letter_is_replayed_with_key_and_headers_and_not_twice_unless_forced(letters: KafkaSettings) -> None:
    # Given a letter; when it is replayed
    position = f"{letters.workflow_events_topic}.dlq:0:0"
    first = run("replay", position)
    # Then the original is on its topic again
    assert first.exit_code == 0, first.stderr
    [record] = all_records(letters, letters.workflow_events_topic)
    assert (record.key, record.value) == (b"key", VALUE)
    assert list(record.headers) == [
        ("correlation-id", str(ID).encode()),
        ("reply-topic", b"r"),
        ("replay-of", position.encode()),
    ]
    assert listed("--replayed")[0]["replays"] == ["replay-begun", "replay-done"]
    # And a second replay is refused, by position and by id
    for which in (position, str(ID)):
        again = run("replay", which)
        assert again.exit_code == 1
        assert "--force" in again.stderr
    assert len(all_records(letters, letters.workflow_events_topic)) == 1
    # And is done where it is forced
    assert run("replay", position, "--force").exit_code == 0
    assert len(all_records(letters, letters.workflow_events_topic)) == 2


def test_all_of_a_topic_are_replayed_but_those_that_were_and_those_that_cannot_be(letters: KafkaSettings) -> None:
    requests = letters.workflow_events_topic
    assert run("replay", str(ID)).exit_code == 0
    would = run("replay", "--all", "--topic", requests, "--dry-run")
    did = run("replay", "--all", "--topic", requests)
    again = run("replay", "--all", "--topic", requests)
    assert would.stdout == f"{requests}.dlq:0:1 would be replayed\n"
    assert did.stdout == f"{requests}.dlq:0:1 is replayed\n"
    assert again.stdout == ""
    assert len(all_records(letters, requests)) == 2
    assert all_records(letters, letters.workflow_control_topic) == []


@pytest.mark.parametrize(
    "which, says",
    [
        ("nonsense", "neither a position"),
        ("018f0000-0000-7000-8000-000000000000", "There is no dead letter"),
        ("elsewhere:0:0", "no dead-letter topic of these settings"),
    ],
)
def test_a_letter_that_is_not_there_is_one_line_and_exit_code_1(letters: KafkaSettings, which: str, says: str) -> None:
    for command in ("show", "replay"):
        result = run(command, which)
        assert result.exit_code == 1
        assert says in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


def test_a_letter_without_its_value_cannot_be_replayed_and_says_where_the_original_lay(letters: KafkaSettings) -> None:
    result = run("replay", f"{letters.workflow_events_topic}.dlq:0:2", "--force")
    assert result.exit_code == 1
    assert f"{letters.workflow_events_topic}:2:17" in result.stderr


def test_of_two_who_replay_one_letter_at_once_the_first_goes_on(letters: KafkaSettings) -> None:
    # Given somebody who has read a letter that nobody has replayed
    log = DeadLetterLog(letters)
    position = LetterPosition(f"{letters.workflow_events_topic}.dlq", 0, 0)
    letter = log.find(str(position))
    # When somebody else's note comes in between
    publish(letters, note_message(position, ReplayStage.BEGUN))
    # Then the later one gives way, and nothing was published
    with pytest.raises(ReplayRefusedError, match="somebody else"):
        log.replay([letter])
    assert all_records(letters, letters.workflow_events_topic) == []
    # And it is told that the other's replay has not ended
    with pytest.raises(ReplayRefusedError, match="not known whether"):
        log.replay([log.find(str(position))])

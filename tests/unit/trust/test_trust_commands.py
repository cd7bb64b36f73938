"""The commands for keys and payloads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workflow_events import KafkaSettings
from workflow_events.cli import app
from workflow_events.signing_keys import parse_keys


@pytest.fixture(autouse=True)
def _logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)


def test_a_new_key_can_be_set_as_it_is_printed() -> None:
    first = CliRunner().invoke(app, ["keys", "new", "main"]).stdout.strip()
    second = CliRunner().invoke(app, ["keys", "new", "main"]).stdout.strip()

    assert list(parse_keys(first)) == ["main"]
    assert first != second
    assert KafkaSettings(_env_file=None, signing_keys=first).signing_keys is not None
    assert list(parse_keys(CliRunner().invoke(app, ["keys", "new"]).stdout.strip()))


def test_an_id_that_no_header_could_carry_is_refused() -> None:
    assert CliRunner().invoke(app, ["keys", "new", "a b"]).exit_code == 2


def test_old_payloads_are_purged_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "results" / "id" / "digest"
    old.parent.mkdir(parents=True)
    old.write_text("{}")
    os.utime(old, (0, 0))
    monkeypatch.setenv("KAFKA_CLAIM_CHECK_STORE", str(tmp_path))

    done = CliRunner().invoke(app, ["payloads", "purge"])

    assert (done.exit_code, done.stdout) == (0, "Deleted 1 payloads.\n")
    assert not old.exists()


def test_to_purge_without_a_store_says_what_to_set() -> None:
    done = CliRunner().invoke(app, ["payloads", "purge"])

    assert done.exit_code == 1
    assert "KAFKA_CLAIM_CHECK_STORE" in done.output

"""The command line, as far as it needs no broker: help, arguments, errors in one line, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from workflow_events.cli import app

SECRET = "hunter2-is-my-secret"
NOBODY = "127.0.0.1:1"

pytestmark = pytest.mark.usefixtures("_logging_as_it_was")


@pytest.fixture
def _logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sets up logging for its process, and here that is the tests'."""
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=stdin)


@pytest.mark.parametrize("command", [[], ["topics"], ["schema"], ["request"], ["wait"], ["topics", "create"]])
def test_every_command_explains_itself(command: list[str]) -> None:
    result = run(*command, "--help")

    assert result.exit_code == 0
    assert "Usage" in result.output


def test_help_imports_no_kafka_client_and_no_settings() -> None:
    script = (
        "import sys; from typer.testing import CliRunner; from workflow_events.cli import app;"
        "CliRunner().invoke(app, ['--help']);"
        "print([name for name in ('kafka', 'aiokafka', 'pydantic', 'rich.table') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() in {"[]", "['rich.table']"}


@pytest.mark.parametrize(
    "command",
    [
        ["topics", "check", "-b", NOBODY],
        ["topics", "create", "-b", NOBODY],
        ["request", "a-workflow", "-b", NOBODY, "--timeout", "1"],
    ],
)
def test_a_missing_broker_is_one_line_and_exit_code_1(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_CONNECT_TIMEOUT", "0.3")

    result = run(*command)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stderr.startswith("Error: ")
    assert NOBODY in result.stderr


def test_settings_that_do_not_hold_are_exit_code_2_and_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", SECRET)

    result = run("topics", "check")

    assert result.exit_code == 2
    assert "KAFKA_SECURITY_PROTOCOL" in result.stderr
    assert SECRET not in result.output


@pytest.mark.parametrize("data", ["not json", "[1]", "@nowhere.json"])
def test_data_that_is_no_json_object_is_exit_code_2(data: str) -> None:
    result = run("request", "a-workflow", "--data", data)

    assert result.exit_code == 2
    assert "--data" in result.stderr


@pytest.mark.parametrize("pending", ["{}", "-", "@pending.json"])
def test_a_pending_request_that_is_none_is_exit_code_2(pending: str, empty_working_directory: Path) -> None:
    (empty_working_directory / "pending.json").write_text("{}")

    result = run("wait", pending, stdin="{}")

    assert result.exit_code == 2
    assert "correlation_id" in result.stderr


def test_schemas_are_exported_and_then_do_not_differ(tmp_path: Path) -> None:
    folder = tmp_path / "schemas"

    exported = run("schema", "export", str(folder))
    checked = run("schema", "check", str(folder))

    assert (exported.exit_code, checked.exit_code) == (0, 0)
    names = [Path(line).name for line in exported.stdout.split()]
    assert "workflow-event.schema.json" in names
    assert all(json.loads((folder / name).read_text())["$schema"] for name in names)


def test_a_schema_that_was_changed_by_hand_is_exit_code_1_and_named(tmp_path: Path) -> None:
    run("schema", "export", str(tmp_path))
    (tmp_path / "workflow-event.schema.json").write_text("{}")

    result = run("schema", "check", str(tmp_path))

    assert result.exit_code == 1
    assert "workflow-event.schema.json" in result.stderr
    assert "workflow-result-event" not in result.stderr

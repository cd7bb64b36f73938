"""``result-store report`` on a store's database, and on ClickHouse."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from result_store.analytics.cli import app
from tests.integration.store.analytics.test_questions import BEGIN, END, insert_rows, made_up


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """A shell in which the store's database is set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESULT_STORE_DATABASE_URL", f"sqlite:///{tmp_path / 'store.db'}")
    return CliRunner()


WINDOW = ["--since", BEGIN.isoformat(), "--until", END.isoformat()]


def told(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_report_is_the_same_from_the_database_and_from_a_clickhouse_that_was_filled_from_it(
    engine: AsyncEngine,
    command: CliRunner,
    clickhouse_server: str,
    clickhouse_database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asyncio.run(_filled(engine))
    # Given what the database tells
    own = told(command.invoke(app, [*WINDOW, "--json", "--runs", "7", "--html", str(tmp_path / "report.html")]))
    runs = own["runs"]
    assert isinstance(runs, list)
    assert len(runs) == 7
    assert "Plotly.newPlot" in (tmp_path / "report.html").read_text()
    tables = command.invoke(app, WINDOW)
    assert all(title in tables.stdout for title in ("Status and duration over time", "Slowest steps", "Last runs"))
    # When ClickHouse is filled from it, and asked
    monkeypatch.setenv("RESULT_STORE_CLICKHOUSE_URL", f"{clickhouse_server}/{clickhouse_database}")
    refill = command.invoke(app, ["refill"])
    assert refill.exit_code == 0, refill.output
    assert "300 runs are in ClickHouse" in refill.stderr
    copied = told(command.invoke(app, [*WINDOW, "--json", "--runs", "7"]))
    # Then it tells the same
    assert copied["runs"] == runs
    assert copied["statuses"] == own["statuses"]


async def _filled(engine: AsyncEngine) -> None:
    await insert_rows(engine, made_up(2))
    await engine.dispose()


@pytest.mark.parametrize(
    "arguments, exit_code, said",
    [
        ([], 1, "result-store migrate"),
        (["refill"], 2, "set RESULT_STORE_CLICKHOUSE_URL"),
        (["--since", "yesterday"], 2, "neither so long ago"),
        (["--since", "2026-03-01T00:00:00"], 2, "does not say its time zone"),
        (["--since", "1066-10-14T09:00:00Z"], 2, "between 1950 and 2250"),
        (["--since", "1h", "--until", "2h"], 2, "is empty: it must end later"),
    ],
    ids=["no tables", "no ClickHouse", "no time", "no zone", "too early", "no window"],
)
def test_what_cannot_be_told_is_refused_in_words(
    command: CliRunner, arguments: list[str], exit_code: int, said: str
) -> None:
    result = command.invoke(app, arguments, env={"COLUMNS": "200"})
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert said in " ".join(result.stderr.replace("│", " ").split())

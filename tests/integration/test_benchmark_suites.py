"""Every suite of the benchmarks runs, and says something that makes sense. How fast anything is, is not asked here."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.measuring import Figure, watching
from benchmarks.suites import SUITE, measure_of
from workflow_events.testing.new_topics import settings_with_new_topics

if TYPE_CHECKING:
    from workflow_events.testing.embedded import EmbeddedBroker

ELSEWHERE = {"alternatives", "spring"}
"""These need more than a broker, and have tests of their own."""
TINY = 0.002
RUNS = 1


@pytest.mark.parametrize("suite", [suite for suite in SUITE if suite not in ELSEWHERE])
def test_a_suite_measures_both_sides_in_every_run(suite: str, embedded_broker: EmbeddedBroker) -> None:
    # Given a broker, and somebody who watches
    settings = settings_with_new_topics(embedded_broker.bootstrap_servers, topic_partitions=2)
    told: list[tuple[int, int]] = []

    async def collect() -> list[Figure]:
        return [figure async for figure in measure_of(suite)(settings, "embedded", RUNS, TINY)]

    # When the suite runs at a tiny scale
    with watching(lambda _, done, of: told.append((done, of))):
        figures = asyncio.run(collect())
    # Then each figure has its runs of both sides, all of them positive numbers, and its names are its own
    assert figures
    for figure in figures:
        assert len(figure.ours) == len(figure.baseline) == RUNS, figure.name
        assert all(math.isfinite(ratio) for ratio in figure.ratios), figure.name
        assert figure.broker == "embedded"
        assert figure.baseline_name
    assert len({(figure.name, figure.baseline_name, figure.point) for figure in figures}) == len(figures)
    # And progress was told
    assert told
    assert all(0 <= done < of for done, of in told)


def test_a_run_prints_its_table_and_adds_to_what_was_measured_before(tmp_path: Path) -> None:
    # Given a file with what was measured before
    output = tmp_path / "figures.json"
    common = ["--broker", "embedded", "--runs", "1", "--scale", str(TINY), "--output", str(output)]
    first = CliRunner().invoke(app, ["--only", "sync", *common])
    assert first.exit_code == 0, first.output
    # When another suite is measured
    second = CliRunner().invoke(app, ["run", "--only", "matching", *common])
    # Then it prints its own figures, and the file has those of both, with all that they were taken on
    assert second.exit_code == 0, second.output
    assert "aiokafka getmany" in second.output
    assert "poller" not in second.output
    document = json.loads(output.read_text(encoding="utf-8"))
    assert list(dict.fromkeys(figure["suite"] for figure in document["figures"])) == ["matching", "sync"]
    assert len(document["sessions"]) == 2
    for session in document["sessions"].values():
        assert session["machine"]["cores"] > 0
        assert session["machine"]["memory_gib"] > 0
        assert {"Python", "Tansu", "workflow-events", "aiokafka", "kafka-python", "pydantic"} <= set(
            session["versions"]
        )
        assert session["scale"] == TINY


def test_a_suite_that_fails_takes_no_other_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a suite that cannot be
    monkeypatch.setattr("benchmarks.latency.measure", None)
    output = tmp_path / "figures.json"
    # When it is run before another
    options = ["--broker", "embedded", "--runs", "1", "--scale", str(TINY), "--output", str(output)]
    result = CliRunner().invoke(app, ["--only", "latency", "--only", "sync", *options])
    # Then the command fails and says which, and the other's figures are there
    assert result.exit_code == 1
    assert "Failed: latency on embedded" in result.output
    assert {figure["suite"] for figure in json.loads(output.read_text(encoding="utf-8"))["figures"]} == {"sync"}


def test_a_suite_whose_part_is_not_here_is_left_out_and_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a machine without Java and Maven
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    # When what needs them is to be measured
    options = ["--runs", "1", "--scale", str(TINY), "--output", str(tmp_path / "figures.json")]
    result = CliRunner().invoke(app, ["--only", "sync", *options])
    # Then Apache Kafka is left out, with a word, and the embedded broker is not
    assert result.exit_code == 0, result.output
    assert "Nothing is measured on apache" in result.output
    assert "embedded broker" in result.output


def test_an_unknown_suite_is_refused_by_name() -> None:
    result = CliRunner().invoke(app, ["--only", "nonsense"])
    assert result.exit_code == 2
    assert "nonsense" in result.output


def test_a_file_of_another_kind_is_not_overwritten(tmp_path: Path) -> None:
    # Given a file that these benchmarks have not written
    output = tmp_path / "figures.json"
    output.write_text("{}", encoding="utf-8")
    # When figures are to be written there
    result = CliRunner().invoke(app, ["--only", "sync", "--output", str(output)])
    # Then that is refused before anything is measured
    assert result.exit_code == 2
    assert output.read_text(encoding="utf-8") == "{}"

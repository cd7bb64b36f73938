"""The page of the benchmarks is what the committed figures say, and nothing is lost where sessions are put together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import pages, pictures
from benchmarks.measuring import Figure, Point
from benchmarks.report import render
from benchmarks.results import Results
from benchmarks.series import ONE_EACH, RAW, fingerprint
from benchmarks.suites import SUITE

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
COMMITTED = Results.load(DOCS / "benchmarks" / "results.json")


def about(**differing: Any) -> dict[str, Any]:
    machine = {"system": "Linux", "cpu": "a processor", "cores": 2, "memory_gib": 8.0}
    told = {"date": "2026-01-02T03:04:05+00:00", "commit": "abc", "machine": machine, "versions": {"Python": "3"}}
    return {**told, "runs": 3, "scale": 1.0, **differing}


def figure(name: str, broker: str = "apache", target: str = ">= 0.9", point: Point | None = None) -> Figure:
    return Figure(name, broker, [1.0, 3.0, 2.0], [2.0, 2.0, 2.0], "bare", "s", target, point=point)


def page_of(name: str) -> str:
    return f"# Before\n\n<!-- measured: {name} -->\nof old\n<!-- end of measured -->\n\nAfter.\n"


def test_the_page_says_what_the_committed_figures_say() -> None:
    assert render(PAGE, COMMITTED) == PAGE, "run: python -m benchmarks report"


def test_the_page_has_a_place_for_every_suite() -> None:
    assert set(re.findall(r"<!-- measured: ([\w-]+) -->", PAGE)) == {*SUITE, "surroundings", "targets"}


def test_the_pictures_are_drawn_from_the_committed_figures() -> None:
    drawn = {path.name: pictures.drawn_from(path) for path in sorted((DOCS / "benchmarks").glob("*.png"))}
    assert drawn == dict.fromkeys(drawn, fingerprint(COMMITTED)), "run: python -m benchmarks report"
    assert set(re.findall(r"benchmarks/([\w-]+\.png)", PAGE)) == set(drawn)
    assert set(re.findall(r"benchmarks/([\w-]+\.html)", PAGE)) == set(pages.pages(COMMITTED))


def test_a_block_is_filled_and_the_rest_stays() -> None:
    # Given a figure whose rounds had the ratios 0.5, 1.5 and 1
    results = Results()
    results.put("sync", "apache", "now", about(scale=0.1), [figure("poller")])
    # When its page is rendered
    page = render(page_of("sync"), results)
    # Then the median, its reach and the verdict are there, the old is gone, and a small scale is told
    assert "| poller | Apache Kafka | 2 s | 2 s (bare) | **1.00** (0.50 to 1.50) | >= 0.9: holds |" in page
    assert "scale 0.1" in page
    assert "of old" not in page
    assert page.startswith("# Before\n")
    assert page.endswith("\n\nAfter.\n")
    assert render(page, results) == page


def test_what_a_figure_says_besides_stands_small_below_its_name() -> None:
    results = Results()
    noted = Figure("poller | all", "apache", [1.0], [1.0], "bare", "s", note="lost none")
    results.put("sync", "apache", "now", about(), [noted])
    assert "| poller \\| all<br><small>lost none</small> | Apache Kafka |" in render(page_of("sync"), results)


def test_a_missed_target_is_called_that() -> None:
    results = Results()
    results.put("sync", "apache", "now", about(), [figure("poller", target="<= 0.99")])
    assert "| <= 0.99: **misses** |" in render(page_of("targets"), results)


def test_a_suite_without_figures_has_no_table() -> None:
    assert "|" not in render(page_of("spring"), Results())


def test_an_unknown_block_is_refused() -> None:
    with pytest.raises(ValueError, match="no suite is called 'nonsense'"):
        render(page_of("nonsense"), Results())


def test_a_curve_has_a_row_for_each_point_and_a_table_for_each_baseline() -> None:
    # Given two points of a curve, beside two baselines
    results = Results()
    points = [
        Figure("x", "apache", [2.0], [1.0], baseline, unit, point=Point("waiters", x, measure))
        for x in (10.0, 2000.0)
        for measure, unit in (("CPU", "s"), ("sockets", "count"))
        for baseline in (RAW, ONE_EACH)
    ]
    results.put("curves", "apache", "now", about(), points)
    # When it is rendered
    page = render(page_of("curves"), results)
    # Then each baseline has its table, with a column for each measure
    assert page.count("| waiters | CPU, s | sockets |") == 2
    assert page.count("| 2,000 | 2 / 1 = **2.00** (2.00 to 2.00) | 2 / 1 = **2.00** (2.00 to 2.00) |") == 2


def test_what_is_measured_again_replaces_its_own_and_nothing_else(tmp_path: Path) -> None:
    # Given figures of one session
    results = Results()
    for broker in ("embedded", "apache"):
        results.put("worker", broker, "first", about(), [figure("worker", broker)])
        results.put("sync", broker, "first", about(), [figure("poller", broker), figure("another", broker)])
    # When one suite is measured again on one broker, and both documents are put together
    again = Results()
    again.put("sync", "apache", "second", about(commit="def"), [figure("poller")])
    results.take(again)
    results.save(tmp_path / "results.json")
    # Then its old figures are gone, the others keep their session, and the order is that of the suites
    read = Results.load(tmp_path / "results.json")
    assert [(one.suite, one.figure.broker, one.session) for one in read.measured] == [
        ("sync", "apache", "second"),
        ("sync", "embedded", "first"),
        ("sync", "embedded", "first"),
        ("worker", "apache", "first"),
        ("worker", "embedded", "first"),
    ]
    assert read.sessions["second"]["commit"] == "def"


def test_a_session_is_forgotten_with_its_last_figure() -> None:
    results = Results()
    results.put("sync", "apache", "first", about(), [figure("poller")])
    results.put("sync", "apache", "second", about(), [figure("poller")])
    assert list(results.sessions) == ["second"]


def test_figures_survive_the_file(tmp_path: Path) -> None:
    # Given a figure alone and one on a curve
    results = Results()
    point = Point("waiters", 10.0, "CPU")
    results.put("curves", "embedded", "now", about(), [figure("a"), figure("b", target="", point=point)])
    # When they are written and read again
    results.save(tmp_path / "results.json")
    # Then they are the same
    assert Results.load(tmp_path / "results.json").measured == results.measured
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]

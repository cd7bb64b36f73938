from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from demo.findings import review
from demo.licence import Confidence
from demo.licence_category import LicenceCategory
from demo.report import AuditReport, build_report, compare, read_report, render_html, write_report
from demo.verdict import Decision, Verdict


def verdict(name: str, decision: Decision = Decision.OK, **fields: Any) -> Verdict:
    return Verdict(
        **{
            "name": name,
            "key": name,
            "version": "1.0",
            "summary": "",
            "decision": decision,
            "licence": "MIT",
            "category": LicenceCategory.PERMISSIVE,
            "confidence": Confidence.HIGH,
            "licence_source": "License-Expression",
            "released": "2026-01-02",
            "released_evidence": "its changelog",
            "native": False,
            "native_size": 0,
            "findings": (),
            **fields,
        }
    )


def report(*verdicts: Verdict, expected: list[str] | None = None) -> AuditReport:
    results = [{"verdicts": [one.model_dump(mode="json")]} for one in verdicts]
    return build_report(
        expected or [one.key for one in verdicts],
        results,
        as_of=date(2026, 11, 21),
        python="3.11.7",
        platform="Linux",
        run="manual__1",
        generated_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
    )


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def test_missing_repeated_and_unasked_names_are_told_apart() -> None:
    found = compare(["a", "b", "c"], ["a", "b", "b", "d"])

    assert found == (("c",), ("b",), ("d",))
    assert str(found) == "missing: c; more than once: b; not asked for: d"
    assert str(compare(["a"], ["a"])) == "none"


def test_the_counts_add_up_and_the_risky_come_gravest_first() -> None:
    made = report(
        verdict("c", Decision.REVIEW),
        verdict("a"),
        verdict("d", Decision.REJECT, category=LicenceCategory.PROPRIETARY),
        verdict("b", Decision.REVIEW),
    )

    assert made.decisions == {Decision.OK: 1, Decision.REVIEW: 2, Decision.REJECT: 1}
    assert made.categories[LicenceCategory.PROPRIETARY] == 1
    assert sum(made.categories.values()) == 4
    assert [one.name for one in made.risky] == ["d", "b", "c"]
    assert [one.name for one in made.verdicts] == ["a", "b", "c", "d"]


def test_a_written_report_reads_back_the_same(tmp_path: Path) -> None:
    made = report(verdict("a"), verdict("b", Decision.REVIEW, findings=(review("x", "because"),)))

    written = write_report(made, tmp_path / "new" / "folder")

    assert read_report(written.json) == made
    assert written.html.read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in written.html.parent.iterdir()) == [
        "dependency-audit.html",
        "dependency-audit.json",
    ]


def test_the_page_loads_nothing_from_anywhere() -> None:
    page = render_html(report(verdict("a"), verdict("b", Decision.REJECT)))

    assert not re.search(r"(https?:)?//[a-z]", page), "no address at all"
    assert not {"link", "img", "iframe"} & {tag for tag, _ in Page(page).elements}
    assert not [attributes for _, attributes in Page(page).elements if "src" in attributes]


def test_the_page_has_a_row_for_each_verdict_with_what_it_sorts_by() -> None:
    page = Page(render_html(report(verdict("a"), verdict("b", Decision.REJECT, released="not before 2019"))))

    rows = [attributes for tag, attributes in page.elements if tag == "tr" and "data-decision" in attributes]
    assert [row["data-decision"] for row in rows] == ["ok", "reject"]
    assert [row["data-k-released"] for row in rows] == ["2026-01-02", "2019"]


def test_what_a_distribution_says_of_itself_cannot_become_markup() -> None:
    hostile = '<script>alert(1)</script>" onclick="x'

    page = render_html(report(verdict("a", licence=hostile, version=hostile, findings=(review("x", hostile),))))

    assert "<script>alert" not in page
    assert len([tag for tag, _ in Page(page).elements if tag == "script"]) == 1
    assert not [attributes for _, attributes in Page(page).elements if "onclick" in attributes]


def test_an_incomplete_report_says_so_at_its_head() -> None:
    assert "not complete" in render_html(report(verdict("a"), expected=["a", "b"]))
    assert "not complete" not in render_html(report(verdict("a")))

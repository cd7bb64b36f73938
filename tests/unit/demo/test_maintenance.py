from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from demo.facts import DistributionFacts, read_facts
from demo.findings import Severity
from demo.maintenance import Maintenance, assess_maintenance
from demo.release_date import ReleaseDate, dated_heading, find_release_date

if TYPE_CHECKING:
    from tests.unit.demo.conftest import MakeDistribution

TODAY = date(2026, 11, 21)
LONG_AGO = ReleaseDate(earliest=date(2019, 4, 1), latest=date(2019, 4, 1), evidence="its changelog")


def judge(released: ReleaseDate | None = None, **facts: Any) -> Maintenance:
    base = {"name": "made-up", "key": "made-up", "version": "1.0", "requires_python": ">=3.9"}
    described = DistributionFacts.model_validate({**base, **facts})
    return assess_maintenance(described, released or ReleaseDate(), as_of=TODAY, python="3.11.7")


def codes(maintenance: Maintenance, severity: Severity = Severity.REVIEW) -> list[str]:
    return [finding.code for finding in maintenance.findings if finding.severity is severity]


@pytest.mark.parametrize(
    "line",
    [
        "## 1.0.9 (April 24th, 2025)",
        "1.0.9 (2025-04-24)",
        "### [1.0.9] - 2025-04-24",
        "Version 1.0.9 -- 24 Apr 2025",
        "* v1.0.9: 2025/04/24",
        "## [1.0.9](https://example.com/compare/1.0.8...1.0.9) (2025-04-24)",
    ],
)
def test_a_changelogs_heading_tells_the_day(line: str) -> None:
    assert dated_heading("1.0.9", f"Changes\n\n{line}\n\n- things\n") == date(2025, 4, 24)


@pytest.mark.parametrize(
    "line",
    [
        "1.0.90 (2025-04-24)",
        "1.0.9.1 (2025-04-24)",
        "1.0.9",
        "since 1.0.9 (2025-04-24)",
        "1.0.9 (2025-02-31)",
        "pip install x==1.0.9",
    ],
)
def test_other_versions_and_other_lines_tell_nothing(line: str) -> None:
    assert dated_heading("1.0.9", line) is None


def test_the_changelog_in_the_description_is_read(install: MakeDistribution) -> None:
    distribution = install(version="2.1", description="Changelog\n\n2.1 (2024-03-02)\n\n2.0 (2020-01-01)\n")

    released = find_release_date(read_facts(distribution), distribution, as_of=TODAY)

    assert released.shown == "2024-03-02"


def test_a_bill_of_materials_tells_when_it_was_built(install: MakeDistribution) -> None:
    bill = json.dumps({"bomFormat": "CycloneDX", "metadata": {"timestamp": "2026-10-16T23:58:57.502219166Z"}})
    distribution = install(extra={"sboms/made_up.cyclonedx.json": bill})

    released = find_release_date(read_facts(distribution), distribution, as_of=TODAY)

    assert released.shown == "2026-10-16"


@pytest.mark.parametrize(
    "version,shown",
    [
        ("2026.10.18", "2026-10-18"),
        ("2026.9.1", "2026"),
        ("2025.0.1", "2025"),
        ("26.1.0", "unknown"),
        ("2099.1.1", "unknown"),
        ("2026.12.25", "2026"),
        ("nonsense", "unknown"),
    ],
)
def test_a_calendar_version_tells_as_much_as_is_certain(install: MakeDistribution, version: str, shown: str) -> None:
    distribution = install(version=version)

    assert find_release_date(read_facts(distribution), distribution, as_of=TODAY).shown == shown


def test_a_copyright_year_is_a_lower_bound_and_no_more(install: MakeDistribution) -> None:
    texts = {"LICENSE": "Copyright (c) 2012, 2018-2023 Some Body\nWIPO copyright treaty adopted on 20 December 2025"}
    distribution = install(licences=texts)

    released = find_release_date(read_facts(distribution), distribution, as_of=TODAY)

    assert (released.shown, released.latest) == ("not before 2023", None)


def test_the_copyright_of_a_licences_text_tells_nothing(install: MakeDistribution) -> None:
    distribution = install(licences={"COPYING": "Copyright (C) 2007 Free Software Foundation, Inc."})

    assert find_release_date(read_facts(distribution), distribution, as_of=TODAY).shown == "unknown"


def test_the_times_of_installed_files_are_never_evidence(install: MakeDistribution) -> None:
    distribution = install(files={"made_up/__init__.py": ""})

    released = find_release_date(read_facts(distribution), distribution, as_of=TODAY)

    assert released == ReleaseDate()


def test_an_old_release_is_stale() -> None:
    assert codes(judge(LONG_AGO)) == ["stale"]


def test_an_unknown_age_is_not_held_against_it() -> None:
    maintenance = judge(python_versions=("3.12", "3.13"))

    assert (maintenance.released, maintenance.released_on, maintenance.findings) == ("unknown", None, ())


def test_no_python_in_support_among_its_classifiers_is_a_sign_of_neglect() -> None:
    assert codes(judge(python_versions=("2.7", "3.8", "3.9"))) == ["old-python"]


def test_pythons_are_compared_as_numbers() -> None:
    assert codes(judge(python_versions=("3.9", "3.12"))) == []


def test_a_known_recent_release_outweighs_neglected_classifiers() -> None:
    recent = ReleaseDate(earliest=date(2026, 5, 1), latest=date(2026, 5, 1), evidence="its changelog")

    assert codes(judge(recent, python_versions=("3.8",))) == []


@pytest.mark.parametrize(
    "facts,code",
    [
        ({"development_status": "7 - Inactive"}, "inactive"),
        ({"development_status": "2 - Pre-Alpha"}, "unfinished"),
        ({"version": "0.66b2"}, "pre-release"),
        ({"version": "1.0.dev3"}, "pre-release"),
        ({"version": "1.0+ours"}, "local-version"),
        ({"version": "unknown"}, "version-invalid"),
        ({"direct_url": "vcs"}, "direct-url"),
        ({"requires_python": ">=3.12"}, "requires-python-unmet"),
        ({"requires_python": "three"}, "requires-python-invalid"),
        ({"problems": ("METADATA has no Name",)}, "metadata-broken"),
    ],
)
def test_each_other_sign_is_for_review(facts: dict[str, Any], code: str) -> None:
    assert codes(judge(**facts)) == [code]


@pytest.mark.parametrize(
    "facts,code",
    [
        ({"requires_python": None}, "requires-python-missing"),
        ({"development_status": "3 - Alpha"}, "alpha"),
        ({"direct_url": "editable"}, "local-source"),
    ],
)
def test_a_lesser_sign_is_a_note(facts: dict[str, Any], code: str) -> None:
    maintenance = judge(**facts)

    assert codes(maintenance, Severity.NOTE) == [code]
    assert codes(maintenance) == []

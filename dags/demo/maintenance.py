"""Whether anybody still looks after a distribution, and whether this release was meant to be relied on."""

from __future__ import annotations

import platform
from datetime import date, timedelta
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict

from demo.findings import Finding, note, review

if TYPE_CHECKING:
    from demo.facts import DistributionFacts
    from demo.release_date import ReleaseDate

STALE_AFTER = timedelta(days=3 * 365)
"""A release older than this asks for a look: three years without another is long for code that is cared for."""

PYTHON_END_OF_LIFE = {
    "2.7": date(2020, 1, 1),
    "3.3": date(2017, 9, 29),
    "3.4": date(2019, 3, 18),
    "3.5": date(2020, 9, 30),
    "3.6": date(2021, 12, 23),
    "3.7": date(2023, 6, 27),
    "3.8": date(2024, 10, 7),
    "3.9": date(2025, 10, 31),
    "3.10": date(2026, 10, 31),
    "3.11": date(2027, 10, 31),
}
"""When the Python core team's support ends, by the release schedules (PEP 373, 398, 429, 478, 494, 537, 569, 596, 619,
664). Where a schedule gives only the month, its last day."""


class Maintenance(BaseModel):
    """What the maintenance check came to."""

    model_config = ConfigDict(frozen=True)

    released: str
    """For people: a day, a year, ``not before`` a year, or ``unknown``."""
    released_on: date | None
    """The latest day it can be, where there is one; None where that is not known."""
    evidence: str
    findings: tuple[Finding, ...]


def assess_maintenance(
    facts: DistributionFacts, released: ReleaseDate, *, as_of: date, python: str | None = None
) -> Maintenance:
    """Judge age, status, version and the Pythons it was made for.

    Args:
        facts: what the distribution declares.
        released: what is known of its release.
        as_of: the day from which ages are counted (part of the request, so that a repeated run says the same).
        python: the version that the distribution has to run on; None: the interpreter's own.
    """
    findings = [
        *(review("metadata-broken", problem) for problem in facts.problems),
        *_age(facts, released, as_of),
        *_status(facts),
        *_version(facts),
        *_origin(facts),
        *_requires_python(facts, python or platform.python_version()),
    ]
    return Maintenance(
        released=released.shown, released_on=released.latest, evidence=released.evidence, findings=tuple(findings)
    )


def _age(facts: DistributionFacts, released: ReleaseDate, as_of: date) -> list[Finding]:
    if released.latest is not None:
        age = as_of - released.latest
        if age > STALE_AFTER:
            return [
                review("stale", f"released {released.shown} ({released.evidence}): {age.days / 365.25:.1f} years ago")
            ]
        return []
    newest = max(facts.python_versions, key=_as_version, default=None)
    ended = PYTHON_END_OF_LIFE.get(newest or "")
    recent = released.earliest is not None and as_of - released.earliest <= STALE_AFTER
    if newest is None or ended is None or ended > as_of or recent:
        return []
    return [
        review(
            "old-python",
            f"the newest Python it names is {newest}, out of support since {ended.isoformat()}",
        )
    ]


def _as_version(text: str) -> Version:
    return Version(text)  # the classifiers' pattern lets only digits and a dot through


def _status(facts: DistributionFacts) -> list[Finding]:
    status = facts.development_status or ""
    match status[:1]:
        case "7":
            return [review("inactive", f"its author calls it {status!r}")]
        case "1" | "2":
            return [review("unfinished", f"its author calls it {status!r}")]
        case "3":
            return [note("alpha", f"its author calls it {status!r}")]
        case _:
            return []


def _version(facts: DistributionFacts) -> list[Finding]:
    try:
        version = Version(facts.version)
    except InvalidVersion:
        return [review("version-invalid", f"{facts.version!r} is not a version (PEP 440)")]
    if version.is_devrelease or version.is_prerelease:
        return [review("pre-release", f"{facts.version} is a pre-release")]
    if version.local:
        return [review("local-version", f"{facts.version} is a local build, not one from an index")]
    return []


def _origin(facts: DistributionFacts) -> list[Finding]:
    match facts.direct_url:
        case None:
            return []
        case "editable" | "directory":
            return [
                note(
                    "local-source", f"installed from a folder ({facts.direct_url}): its version says little of its code"
                )
            ]
        case kind:
            return [review("direct-url", f"installed from a URL ({kind}), not from an index")]


def _requires_python(facts: DistributionFacts, python: str) -> list[Finding]:
    if not facts.requires_python:
        return [note("requires-python-missing", "does not say which Python versions it needs")]
    try:
        allowed = SpecifierSet(facts.requires_python)
    except InvalidSpecifier:
        return [review("requires-python-invalid", f"Requires-Python {facts.requires_python!r} cannot be read")]
    if not allowed.contains(python, prereleases=True):
        return [review("requires-python-unmet", f"needs Python {facts.requires_python}, installed on {python}")]
    return []

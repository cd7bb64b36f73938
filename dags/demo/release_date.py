"""When a distribution was released, as far as its own files honestly tell.

Installed files are no witness: pip and uv give them the time of the installation. What can be believed is what the
publisher wrote into the distribution, from the most to the least exact:

1. the entry for exactly this version in its changelog, shipped as a file or inside the long description;
2. the time in a bill of materials (PEP 770, ``.dist-info/sboms/``), written when the wheel was built;
3. a calendar version (``2026.10.18``): the day, or at least the year, in the version's own number;
4. the newest year of a copyright line in its licence file: released in that year *or later*, no more.

Where there is none of these the answer is "unknown", and stays so.
"""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict

from demo.facts import DistributionFacts, metadata_text, read_recorded, recorded_files

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_CHANGELOG = re.compile(r"^(change(s|log)|history|news|release[-_ ]?notes)(\.(md|rst|txt))?$", re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?P<{0}>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATES = (
    re.compile(r"\b(?P<year>(19|20)\d\d)[-/.](?P<month>\d\d?)[-/.](?P<day>\d\d?)\b"),
    re.compile(rf"\b{_MONTH.format('month')} +(?P<day>\d\d?)(st|nd|rd|th)?,? +(?P<year>(19|20)\d\d)\b", re.IGNORECASE),
    re.compile(rf"\b(?P<day>\d\d?)(st|nd|rd|th)? +{_MONTH.format('month')},? +(?P<year>(19|20)\d\d)\b", re.IGNORECASE),
)
_COPYRIGHT = re.compile(r"^\W*(portions )?(copyright|\(c\)|©)", re.IGNORECASE)
_TEXT_OWNER = re.compile(r"free software foundation|python software foundation", re.IGNORECASE)
"""Who holds the copyright of a licence's *text*: that year says nothing of the distribution."""
_YEAR = re.compile(r"\b((?:19|20)\d\d)\b")
_FIRST_CALENDAR_YEAR = 2000
_SURELY_A_DAY = 10
"""A third number as large as this is no count of the month's releases."""
_LONGEST_HEADING = 200


class ReleaseDate(BaseModel):
    """The bounds within which the release lies. Both None: nothing is known."""

    model_config = ConfigDict(frozen=True)

    earliest: date | None = None
    latest: date | None = None
    """None: it may be as late as today."""
    evidence: str = "no evidence in its files"

    @property
    def shown(self) -> str:
        """The date as exactly as it is known: a day, a year, ``not before`` a year, or ``unknown``."""
        if self.earliest is None:
            return "unknown"
        if self.latest is None:
            return f"not before {self.earliest.year}"
        return self.earliest.isoformat() if self.earliest == self.latest else str(self.earliest.year)


def find_release_date(facts: DistributionFacts, distribution: Distribution, *, as_of: date) -> ReleaseDate:
    """The best evidence there is. A date after ``as_of`` is taken for a misreading and passed over."""
    return (
        _from_changelog(facts, distribution, as_of)
        or _from_bill_of_materials(distribution, as_of)
        or _from_calendar_version(facts.version, as_of)
        or _from_copyright(facts, distribution, as_of)
        or ReleaseDate()
    )


def dated_heading(version: str, text: str) -> date | None:
    """The date in the heading of exactly ``version`` in a changelog: ``## 1.0.9 (April 24th, 2025)``."""
    heading = re.compile(
        rf"^[\s#*=\[(]*(v|version|release)? ?{re.escape(version)}(?![\w.])(?P<rest>.*)$", re.IGNORECASE | re.MULTILINE
    )
    for line in heading.finditer(text):
        if len(line[0]) <= _LONGEST_HEADING and (found := _date_in(line["rest"])):
            return found
    return None


def _from_changelog(facts: DistributionFacts, distribution: Distribution, as_of: date) -> ReleaseDate | None:
    texts = [("the changelog in its description", metadata_text(distribution) or "")]
    texts += [
        (f"its {file.name}", read_recorded(distribution, file.as_posix()) or "")
        for file in recorded_files(distribution) or []
        if _CHANGELOG.match(file.name)
    ]
    for origin, text in texts:
        found = dated_heading(facts.version, text)
        if found is not None and found <= as_of:
            return ReleaseDate(earliest=found, latest=found, evidence=origin)
    return None


def _from_bill_of_materials(distribution: Distribution, as_of: date) -> ReleaseDate | None:
    found: list[date] = []
    for file in recorded_files(distribution) or []:
        if "sboms" not in file.parts or file.suffix != ".json":
            continue
        try:
            written = json.loads(read_recorded(distribution, file.as_posix(), limit=16 * 1024 * 1024) or "")[
                "metadata"
            ]["timestamp"]
            found.append(datetime.fromisoformat(str(written)[:19]).date())
        except (ValueError, KeyError, TypeError):
            continue  # not every bill of materials says when it was written
    built = max((day for day in found if day <= as_of), default=None)
    return (
        None
        if built is None
        else ReleaseDate(earliest=built, latest=built, evidence="its bill of materials, written by the build")
    )


def _from_calendar_version(version: str, as_of: date) -> ReleaseDate | None:
    try:
        release = Version(version).release
    except InvalidVersion:
        return None
    if not _FIRST_CALENDAR_YEAR <= release[0] <= as_of.year:
        return None
    evidence = "its calendar version"
    # 2026.10.18 is a day. 2026.9.1 may be one, or the first release after September's: there, only the year is certain.
    if len(release) >= 3 and release[2] >= _SURELY_A_DAY:
        day = _day(release[0], release[1], release[2])
        if day is not None and day <= as_of:
            return ReleaseDate(earliest=day, latest=day, evidence=evidence)
    return ReleaseDate(earliest=date(release[0], 1, 1), latest=min(date(release[0], 12, 31), as_of), evidence=evidence)


def _from_copyright(facts: DistributionFacts, distribution: Distribution, as_of: date) -> ReleaseDate | None:
    years = [
        int(year)
        for file in facts.licence_files
        if not file.bundled
        for line in (read_recorded(distribution, file.path) or "").splitlines()
        if _COPYRIGHT.match(line) and not _TEXT_OWNER.search(line)
        for year in _YEAR.findall(line)
        if int(year) <= as_of.year
    ]
    if not years:
        return None
    return ReleaseDate(earliest=date(max(years), 1, 1), evidence="the newest copyright year in its licence file")


def _date_in(text: str) -> date | None:
    for pattern in _DATES:
        if found := pattern.search(text):
            month = found["month"]
            number = int(month) if month.isdigit() else _MONTHS.index(month[:3].lower()) + 1
            if (day := _day(int(found["year"]), number, int(found["day"]))) is not None:
                return day
    return None


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None

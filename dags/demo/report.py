"""The report on the whole environment: counted, checked for completeness, written as JSON and as one HTML page."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import AwareDatetime, BaseModel, ConfigDict

from demo.licence_category import LicenceCategory
from demo.verdict import Decision, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_TEMPLATE = "report.html.j2"


class AuditReport(BaseModel):
    """Every verdict, and what was asked for: so the report itself can say whether anything is missing."""

    model_config = ConfigDict(frozen=True)

    generated_at: AwareDatetime
    as_of: date
    python: str
    platform: str
    run: str
    """Who made it: the Airflow run's id."""
    expected: tuple[str, ...]
    """The normalised names of all distributions that were installed when the audit began."""
    verdicts: tuple[Verdict, ...]

    @property
    def discrepancies(self) -> Discrepancies:
        """What keeps this from being one verdict for each distribution."""
        return compare(self.expected, (verdict.key for verdict in self.verdicts))

    @property
    def decisions(self) -> dict[Decision, int]:
        """How many distributions got which decision, all three named."""
        counted = Counter(verdict.decision for verdict in self.verdicts)
        return {decision: counted[decision] for decision in Decision}

    @property
    def categories(self) -> dict[LicenceCategory, int]:
        """How many distributions fall in which licence category, all five named."""
        counted = Counter(verdict.category for verdict in self.verdicts)
        return {category: counted[category] for category in LicenceCategory}

    @property
    def risky(self) -> list[Verdict]:
        """What a person has to look at: rejections first, then by name."""
        weight = [Decision.REJECT, Decision.REVIEW]
        return sorted(
            (v for v in self.verdicts if v.decision is not Decision.OK), key=lambda v: (weight.index(v.decision), v.key)
        )


class Discrepancies(NamedTuple):
    """How a list of verdicts differs from "each distribution exactly once". All empty: it does not."""

    missing: tuple[str, ...]
    repeated: tuple[str, ...]
    unasked: tuple[str, ...]

    def __str__(self) -> str:
        parts = [
            f"{label}: {', '.join(names)}"
            for label, names in zip(("missing", "more than once", "not asked for"), self, strict=True)
            if names
        ]
        return "; ".join(parts) or "none"


class WrittenReport(NamedTuple):
    """Where the two forms of a report were written."""

    html: Path
    json: Path


def compare(expected: Iterable[str], got: Iterable[str]) -> Discrepancies:
    """Which names are missing, repeated or unasked for."""
    wanted, counted = set(expected), Counter(got)
    return Discrepancies(
        missing=tuple(sorted(wanted - counted.keys())),
        repeated=tuple(sorted(name for name, times in counted.items() if times > 1)),
        unasked=tuple(sorted(counted.keys() - wanted)),
    )


def build_report(
    expected: Sequence[str],
    results: Iterable[Mapping[str, Any]],
    *,
    as_of: date,
    python: str,
    platform: str,
    run: str,
    generated_at: datetime | None = None,
) -> AuditReport:
    """Gather the workflow's results (one for each chunk) into one report, in the names' order.

    Raises:
        pydantic.ValidationError: a result does not hold verdicts.
    """
    verdicts = [Verdict.model_validate(verdict) for result in results for verdict in result["verdicts"]]
    return AuditReport(
        generated_at=generated_at or datetime.now(UTC),
        as_of=as_of,
        python=python,
        platform=platform,
        run=run,
        expected=tuple(sorted(expected)),
        verdicts=tuple(sorted(verdicts, key=lambda verdict: verdict.key)),
    )


def write_report(report: AuditReport, folder: Path) -> WrittenReport:
    """Write ``dependency-audit.html`` and ``dependency-audit.json`` into ``folder``, which is made where it is missing.

    Each file is complete or not there: it is written beside its place and then moved.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = WrittenReport(folder / "dependency-audit.html", folder / "dependency-audit.json")
    _replace(written.json, report.model_dump_json(indent=2))
    _replace(written.html, render_html(report))
    return written


def read_report(path: Path) -> AuditReport:
    """Read a report's JSON form.

    Raises:
        OSError: it cannot be read.
        pydantic.ValidationError: it is not such a report.
    """
    return AuditReport.model_validate_json(path.read_bytes())


def render_html(report: AuditReport) -> str:
    """The page: no script, style, font or picture from anywhere else; every value is escaped."""
    environment = Environment(
        loader=PackageLoader("demo", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["megabytes"] = _megabytes
    environment.filters["slug"] = lambda text: str(text).replace(" ", "-")
    return environment.get_template(_TEMPLATE).render(report=report, decisions=list(Decision))


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)

"""The verdict on one distribution: what the three checks found, and what it comes to."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from demo.findings import Finding, Severity
from demo.licence import Confidence, LicenceAssessment
from demo.licence_category import LicenceCategory

if TYPE_CHECKING:
    from demo.facts import DistributionFacts
    from demo.maintenance import Maintenance
    from demo.native_code import NativeCode


class Decision(StrEnum):
    """What to do with a distribution."""

    OK = "ok"
    REVIEW = "review"
    REJECT = "reject"


class Verdict(BaseModel):
    """One distribution's line in the report. JSON-ready with ``model_dump(mode="json")``."""

    model_config = ConfigDict(frozen=True)

    name: str
    key: str
    """The normalised name (PEP 503): what "exactly once" is counted by."""
    version: str
    summary: str
    decision: Decision
    licence: str
    category: LicenceCategory
    confidence: Confidence
    licence_source: str
    released: str
    released_evidence: str
    native: bool
    native_size: int
    """Bytes."""
    findings: tuple[Finding, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """The messages of what made the decision, without mere notes."""
        return tuple(finding.message for finding in self.findings if finding.severity is not Severity.NOTE)

    @property
    def notes(self) -> tuple[str, ...]:
        """The messages of what is merely worth knowing."""
        return tuple(finding.message for finding in self.findings if finding.severity is Severity.NOTE)


def decide(findings: tuple[Finding, ...]) -> Decision:
    """The heaviest finding decides; notes alone leave it at ``ok``."""
    severities = {finding.severity for finding in findings}
    if Severity.REJECT in severities:
        return Decision.REJECT
    return Decision.REVIEW if Severity.REVIEW in severities else Decision.OK


def give_verdict(
    facts: DistributionFacts, licence: LicenceAssessment, native: NativeCode, maintenance: Maintenance
) -> Verdict:
    """Put the three checks together."""
    weight = [Severity.REJECT, Severity.REVIEW, Severity.NOTE]
    found = (*licence.findings, *native.findings, *maintenance.findings)
    findings = tuple(sorted(found, key=lambda finding: weight.index(finding.severity)))
    return Verdict(
        name=facts.name,
        key=facts.key,
        version=facts.version,
        summary=facts.summary,
        decision=decide(findings),
        licence=licence.licence,
        category=licence.category,
        confidence=licence.confidence,
        licence_source=licence.source,
        released=maintenance.released,
        released_evidence=maintenance.evidence,
        native=native.found,
        native_size=native.size,
        findings=findings,
    )

"""What a check can say about a distribution, and how much it matters."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Severity(StrEnum):
    """How much a finding weighs. The heaviest one decides the verdict."""

    NOTE = "note"
    """Worth knowing; changes nothing."""
    REVIEW = "review"
    """A person should look before this distribution is shipped."""
    REJECT = "reject"
    """Not allowed under the policy of this audit."""


class Finding(BaseModel):
    """One observation by one check, with the evidence in its message."""

    model_config = ConfigDict(frozen=True)

    code: str
    """Stable, machine-readable: ``licence-conflict``, ``native-code``, ..."""
    severity: Severity
    message: str


def note(code: str, message: str) -> Finding:
    """A finding that only informs."""
    return Finding(code=code, severity=Severity.NOTE, message=message)


def review(code: str, message: str) -> Finding:
    """A finding that asks for a person's eyes."""
    return Finding(code=code, severity=Severity.REVIEW, message=message)


def reject(code: str, message: str) -> Finding:
    """A finding that the audit's policy does not allow."""
    return Finding(code=code, severity=Severity.REJECT, message=message)

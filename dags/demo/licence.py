"""One licence out of all that the sources claim: what it is, how sure that is, and where the sources disagree."""

from __future__ import annotations

from enum import StrEnum
from itertools import combinations
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from demo.findings import Finding, note, reject, review
from demo.licence_category import LicenceCategory, strictest
from demo.licence_claims import Claim, Source

if TYPE_CHECKING:
    from collections.abc import Sequence


class Confidence(StrEnum):
    """How far the classification can be relied on."""

    HIGH = "high"
    """Declared in a form with one meaning, and the licence's own text is there and says the same."""
    MEDIUM = "medium"
    """Declared, but nothing confirms it; or a single full licence text and no declaration."""
    LOW = "low"
    """The sources contradict each other, or leave open which of several licences applies."""
    NONE = "none"
    """Nothing was understood."""


class LicenceAssessment(BaseModel):
    """What the licence check came to."""

    model_config = ConfigDict(frozen=True)

    licence: str
    """An SPDX expression where the sources amount to one, else words."""
    category: LicenceCategory
    confidence: Confidence
    source: str
    """The sources that it rests on."""
    findings: tuple[Finding, ...]


def assess_licence(claims: Sequence[Claim]) -> LicenceAssessment:
    """Weigh the claims of all sources (:func:`demo.licence_claims.declared_claims`, and one claim for each licence file)."""
    findings: list[Finding] = []
    declared = [claim for claim in claims if claim.source is not Source.FILE]
    own_files = [claim for claim in claims if claim.source is Source.FILE and not claim.bundled]
    findings += [_not_understood(claim) for claim in declared if not claim.understood]
    declared = [claim for claim in declared if claim.understood]
    texts = [claim for claim in own_files if claim.understood]
    conflicts = _conflicts(declared, texts)
    findings += conflicts
    findings += _texts_shipped(own_files, texts, anything_declared=bool(declared))
    findings += _bundled(claims, declared or texts)
    if not declared and not texts:
        findings.append(review("licence-missing", "no source names a licence that could be made out"))
        return _assessment("unknown", LicenceCategory.UNKNOWN, Confidence.NONE, "nothing", findings)
    if not declared:
        return _from_texts(texts, findings)
    return _from_declarations(declared, texts, findings, contradicted=bool(conflicts))


def _from_texts(texts: list[Claim], findings: list[Finding]) -> LicenceAssessment:
    files = ", ".join(claim.raw for claim in texts)
    findings.append(review("licence-undeclared", f"the metadata declares no licence; judged by {files} alone"))
    labels = list(dict.fromkeys(term.label for claim in texts for term in claim.terms))
    certain = len(labels) == 1 and all(claim.full_text for claim in texts)
    category = strictest(claim.category for claim in texts)
    return _assessment(
        " and/or ".join(labels), category, Confidence.MEDIUM if certain else Confidence.LOW, Source.FILE, findings
    )


def _from_declarations(
    declared: list[Claim], texts: list[Claim], findings: list[Finding], *, contradicted: bool
) -> LicenceAssessment:
    best = _most_exact(declared)
    confirming = [claim for claim in texts if claim.full_text and claim.ids & best.ids]
    narrowed = _narrow(best, confirming)
    several = len(best.terms) > 1 and best.expression is None and best.operator is None
    open_question = several and len({term.category for term in best.terms}) > 1
    if open_question and not contradicted:  # the contradiction has quoted it already
        findings.append(review("licence-ambiguous", f"{best.source}: {best.shown}: all of them, or any?"))
    sources = [
        best.source.value,
        *(claim.source.value for claim in declared if claim is not best and claim.ids & best.ids),
    ]
    if confirming:
        sources.append("its text")
    confidence = Confidence.HIGH if confirming else Confidence.MEDIUM
    if contradicted or open_question:
        confidence = Confidence.LOW
    # A contradiction is judged by its strictest side: whoever ships the code is bound by the one that turns out to hold.
    category = strictest([best.category, *(claim.category for claim in declared)]) if contradicted else best.category
    return _assessment(narrowed, category, confidence, ", ".join(dict.fromkeys(sources)), findings)


def _most_exact(declared: list[Claim]) -> Claim:
    """The claim which says most: an SPDX expression, then one that says how its licences combine, then the longest."""
    return max(
        declared,
        key=lambda claim: (
            claim.source is Source.EXPRESSION,
            claim.operator is not None,
            len(claim.terms),
            claim.expression is not None,
        ),
    )


def _narrow(best: Claim, confirming: list[Claim]) -> str:
    """``BSD (clauses not stated)`` beside the text of BSD-3-Clause is BSD-3-Clause."""
    if best.expression is not None or len(best.terms) != 1:
        return best.shown
    found = best.ids & frozenset().union(*(claim.ids for claim in confirming))
    return next(iter(found)) if len(found) == 1 else best.shown


def _conflicts(declared: list[Claim], texts: list[Claim]) -> list[Finding]:
    findings = []
    for one, other in combinations(declared, 2):
        if not one.ids & other.ids:
            findings.append(
                review(
                    "licence-conflict", f"sources disagree: {one.source}: {one.shown}; {other.source}: {other.shown}"
                )
            )
        elif one.category is not other.category and (missing := _beyond(other, one) or _beyond(one, other)):
            findings.append(
                review(
                    "licence-conflict",
                    f"sources disagree on {missing}: {one.source}: {one.shown}; {other.source}: {other.shown}",
                )
            )
    if not declared:
        return findings
    allowed = frozenset().union(*(claim.ids for claim in declared))
    least = strictest(claim.category for claim in declared)
    full = [claim for claim in texts if claim.full_text]
    if full and not any(claim.ids & allowed or _same_family(claim.ids, allowed) for claim in full):
        found = "; ".join(f"{claim.raw} is {claim.shown}" for claim in full)
        findings.append(review("licence-conflict", f"declared as {declared[0].shown}, but {found}"))
        return findings
    for claim in full:
        stricter = [
            term.label
            for term in claim.terms
            if not (term.ids & allowed or _same_family(term.ids, allowed)) and _is_stricter(term.category, least)
        ]
        if stricter:
            findings.append(
                review(
                    "licence-undeclared-text",
                    f"{claim.raw} holds {', '.join(stricter)}, which the metadata does not declare",
                )
            )
    return findings


def _beyond(one: Claim, other: Claim) -> str:
    """The terms of ``one`` that ``other`` does not cover."""
    return ", ".join(term.label for term in one.terms if not term.ids & other.ids)


def _same_family(some: frozenset[str], others: frozenset[str]) -> bool:
    """``GPL-3.0-only`` and ``GPL-3.0-or-later`` have the same text: which of them is meant, the text cannot tell."""
    return bool({_family(licence) for licence in some} & {_family(licence) for licence in others})


def _family(licence: str) -> str:
    return licence.removesuffix("-only").removesuffix("-or-later").removesuffix("+")


def _is_stricter(one: LicenceCategory, other: LicenceCategory) -> bool:
    return one is not other and strictest((one, other)) is one


def _texts_shipped(own_files: list[Claim], texts: list[Claim], *, anything_declared: bool) -> list[Finding]:
    if not own_files and anything_declared:
        return [review("licence-text-missing", "no licence text was installed with it")]
    if own_files and not texts:
        return [
            note(
                "licence-text-unrecognised",
                f"the wording of {', '.join(claim.raw for claim in own_files)} was not recognised",
            )
        ]
    return []


def _bundled(claims: Sequence[Claim], basis: list[Claim]) -> list[Finding]:
    """Licences of code that is carried along, where they ask for more than the distribution's own."""
    own = strictest(claim.category for claim in basis) if basis else LicenceCategory.UNKNOWN
    found: dict[str, list[str]] = {}
    for claim in claims:
        for term in claim.terms if claim.bundled else ():
            if _is_stricter(term.category, own):
                found.setdefault(term.label, []).append(claim.raw)
    return [
        note("bundled-licence", f"bundles code under {label} ({paths[0]})") for label, paths in sorted(found.items())
    ]


def _not_understood(claim: Claim) -> Finding:
    if claim.source is Source.EXPRESSION:
        return review("licence-invalid-expression", f"License-Expression {claim.raw!r} is not a valid SPDX expression")
    return note("licence-not-understood", f"{claim.source}: {claim.raw!r} was not understood")


def _assessment(
    licence: str, category: LicenceCategory, confidence: Confidence, source: str, findings: list[Finding]
) -> LicenceAssessment:
    findings = [*findings, *_policy(licence, category, confidence)]
    return LicenceAssessment(
        licence=licence, category=category, confidence=confidence, source=source, findings=tuple(findings)
    )


def _policy(licence: str, category: LicenceCategory, confidence: Confidence) -> list[Finding]:
    """What this audit allows. A ground for rejection that is itself in doubt asks for a person instead."""
    doubtful = confidence in {Confidence.LOW, Confidence.NONE}
    match category:
        case LicenceCategory.STRONG_COPYLEFT | LicenceCategory.PROPRIETARY if doubtful:
            return [review("licence-category", f"may be {category}")]
        case LicenceCategory.STRONG_COPYLEFT | LicenceCategory.PROPRIETARY:
            return [reject("licence-category", f"{licence} is {category}")]
        case LicenceCategory.WEAK_COPYLEFT:
            return [review("licence-category", f"{licence} is weak copyleft")]
        case LicenceCategory.PERMISSIVE | LicenceCategory.UNKNOWN:
            return []

"""What each source (expression, License field, classifiers, files) claims about a distribution's licence, in comparable terms."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from demo.licence_category import (
    InvalidLicenceExpressionError,
    LicenceCategory,
    canonical,
    category_of,
    licences_in,
    mildest,
    strictest,
)
from demo.licence_names import Named, recognise_text
from demo.licence_texts import MatchStrength, recognise_licences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from demo.facts import DistributionFacts, LicenceFile

_A_SHORT_FIELD = 120
"""Characters. A longer ``License`` field is the licence's text and not its name."""


class Source(StrEnum):
    """Where a claim was read."""

    EXPRESSION = "License-Expression"
    FIELD = "License field"
    CLASSIFIERS = "classifiers"
    FILE = "licence file"


class Term(BaseModel):
    """One licence of a claim, as the set of SPDX ids that the wording can mean."""

    model_config = ConfigDict(frozen=True)

    label: str
    ids: frozenset[str]

    @property
    def category(self) -> LicenceCategory:
        """The strictest of what it can mean."""
        return strictest(category_of(licence) for licence in self.ids)


class Claim(BaseModel):
    """What one source says."""

    model_config = ConfigDict(frozen=True)

    source: Source
    raw: str
    """The source's own words, shortened; for a file, its path."""
    terms: tuple[Term, ...] = ()
    """Empty: the source says something that was not understood."""
    expression: str | None = None
    """The canonical SPDX expression, where the source amounts to one."""
    operator: str | None = None
    """``AND``/``OR`` between the terms; None: one term, or the source does not say."""
    full_text: bool = False
    """For a file: at least one licence was recognised by its full wording."""
    bundled: bool = False
    """For a file: it belongs to code that the distribution only carries along."""

    @property
    def understood(self) -> bool:
        """Whether any licence was made out."""
        return bool(self.terms)

    @property
    def ids(self) -> frozenset[str]:
        """Every SPDX id that the claim can mean."""
        return frozenset().union(*(term.ids for term in self.terms))

    @property
    def category(self) -> LicenceCategory:
        """The category the claim comes to; where it names several licences and not how they combine, the strictest of them."""
        if self.expression is not None:
            return category_of(self.expression)
        pick: Callable[[Iterable[LicenceCategory]], LicenceCategory] = mildest if self.operator == "OR" else strictest
        return pick([term.category for term in self.terms])

    @property
    def shown(self) -> str:
        """The claim for people."""
        if self.expression is not None:
            return self.expression
        joint = f" {self.operator} " if self.operator else " and/or "
        return joint.join(term.label for term in self.terms) or self.raw


def declared_claims(facts: DistributionFacts) -> list[Claim]:
    """The claims of the metadata's own fields, the most exact source first."""
    claims = []
    if facts.license_expression:
        claims.append(_expression_claim(facts.license_expression))
    if facts.license_field:
        claims.append(_field_claim(facts.license_field))
    if facts.license_classifiers:
        claims.append(_classifier_claim(facts.license_classifiers))
    return claims


def file_claim(file: LicenceFile, text: str) -> Claim:
    """What the text of a licence file claims. How several texts in it combine is not for the file to say."""
    matches = recognise_licences(text)
    terms = tuple(Term(label=match.licence, ids=match.ids) for match in matches)
    full = any(match.strength is MatchStrength.FULL_TEXT for match in matches)
    return Claim(source=Source.FILE, raw=file.shown, terms=terms, full_text=full, bundled=file.bundled)


def _expression_claim(text: str) -> Claim:
    try:
        expression = canonical(text)
    except InvalidLicenceExpressionError:
        return Claim(source=Source.EXPRESSION, raw=text)
    terms = tuple(Term(label=licence, ids=frozenset({licence})) for licence in sorted(licences_in(expression)))
    return Claim(source=Source.EXPRESSION, raw=text, terms=terms, expression=expression)


def _field_claim(text: str) -> Claim:
    raw = text if len(text) <= _A_SHORT_FIELD else f"{' '.join(text.split())[:_A_SHORT_FIELD]} ..."
    if len(text) <= _A_SHORT_FIELD:
        try:
            expression = canonical(text)
        except InvalidLicenceExpressionError:
            named = recognise_text(text)
        else:
            return _expression_claim(expression).model_copy(update={"source": Source.FIELD, "raw": raw})
    else:
        named = None
    if named is None:
        # Neither an expression nor a name: some put the whole licence, or a sentence about it, in the field.
        matches = recognise_licences(text)
        terms = tuple(Term(label=match.licence, ids=match.ids) for match in matches)
        return Claim(source=Source.FIELD, raw=raw, terms=terms, full_text=bool(matches))
    return _named_claim(Source.FIELD, raw, named)


def _classifier_claim(classifiers: tuple[str, ...]) -> Claim:
    recognised = [recognise_text(classifier) for classifier in classifiers]
    raw = "; ".join(classifiers)
    names = tuple(name for named in recognised if named is not None for name in named.names)
    # An unknown name among known ones must not vanish: the whole claim then counts as not understood.
    if any(named is None for named in recognised):
        return Claim(source=Source.CLASSIFIERS, raw=raw)
    # "GPL" beside "GPLv2" adds nothing: the general name is there for people who browse the index.
    exact = tuple(name for name in dict.fromkeys(names) if not any(other.ids < name.ids for other in names))
    return _named_claim(Source.CLASSIFIERS, raw, Named(exact, None))


def _named_claim(source: Source, raw: str, named: Named) -> Claim:
    terms = tuple(Term(label=name.label, ids=name.ids) for name in named.names)
    if len(terms) == 1 and len(terms[0].ids) == 1:
        return Claim(source=source, raw=raw, terms=terms, expression=next(iter(terms[0].ids)))
    return Claim(source=source, raw=raw, terms=terms, operator=named.operator)

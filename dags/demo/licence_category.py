"""Which category an SPDX licence expression falls in.

The category of each licence is not our opinion: it is read from the ScanCode LicenseDB, whose index comes with the
``license-expression`` library (2,500 licences, each put in a category by people who read it). What is decided here is how
ScanCode's eleven categories become five, and what ``AND``, ``OR`` and ``WITH`` do to them.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from license_expression import (
    AND,
    OR,
    ExpressionError,
    ExpressionParseError,
    LicenseWithExceptionSymbol,
    get_license_index,
    get_spdx_licensing,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


class LicenceCategory(StrEnum):
    """What the licence asks of whoever ships the code, coarsely."""

    PERMISSIVE = "permissive"
    WEAK_COPYLEFT = "weak copyleft"
    STRONG_COPYLEFT = "strong copyleft"
    PROPRIETARY = "proprietary"
    UNKNOWN = "unknown"


class InvalidLicenceExpressionError(ValueError):
    """The text is not an SPDX licence expression of known licences."""


_FROM_SCANCODE = {
    "Permissive": LicenceCategory.PERMISSIVE,
    "Public Domain": LicenceCategory.PERMISSIVE,
    "Copyleft Limited": LicenceCategory.WEAK_COPYLEFT,
    "Copyleft": LicenceCategory.STRONG_COPYLEFT,
    "Commercial": LicenceCategory.PROPRIETARY,
    "Proprietary Free": LicenceCategory.PROPRIETARY,
    "Free Restricted": LicenceCategory.PROPRIETARY,
    "Source-available": LicenceCategory.PROPRIETARY,
    # "CLA", "Patent License" and "Unstated License" say nothing about the use of the code: unknown.
}

# From the least to the most demanding. "Unknown" stands between weak and strong: it may be either, so it weighs more than the one
# and must not hide the other.
_STRICTNESS = (
    LicenceCategory.PERMISSIVE,
    LicenceCategory.WEAK_COPYLEFT,
    LicenceCategory.UNKNOWN,
    LicenceCategory.STRONG_COPYLEFT,
    LicenceCategory.PROPRIETARY,
)


def strictest(categories: Iterable[LicenceCategory]) -> LicenceCategory:
    """The most demanding of them: what holds when all apply (``AND``). Unknown for none."""
    return max(categories, key=_STRICTNESS.index, default=LicenceCategory.UNKNOWN)


def mildest(categories: Iterable[LicenceCategory]) -> LicenceCategory:
    """The least demanding of them: what holds when one may choose (``OR``). Unknown for none."""
    return min(categories, key=_STRICTNESS.index, default=LicenceCategory.UNKNOWN)


def category_of(expression: str) -> LicenceCategory:
    """The category of an SPDX expression: ``OR`` lets one choose the mildest side, ``AND`` binds to the strictest.

    A ``LicenseRef-`` that ScanCode does not know is :attr:`LicenceCategory.UNKNOWN`, as SPDX lets anybody coin one.

    Raises:
        InvalidLicenceExpressionError: it cannot be parsed.
    """
    return _category(_parse(expression))


def canonical(expression: str) -> str:
    """The expression as SPDX writes it: ``apache-2.0 or mit`` becomes ``Apache-2.0 OR MIT``.

    Raises:
        InvalidLicenceExpressionError: it cannot be parsed, or names a licence that SPDX does not know.
    """
    parsed = _parse(expression)
    unknown = [key for key in _licensing().unknown_license_keys(parsed) if not str(key).startswith("LicenseRef-")]
    if unknown:
        message = f"not in the SPDX licence list: {', '.join(unknown)}"
        raise InvalidLicenceExpressionError(message)
    return str(parsed.render())


def licences_in(expression: str) -> frozenset[str]:
    """The SPDX ids of the licences that the expression names, without its exceptions.

    Raises:
        InvalidLicenceExpressionError: it cannot be parsed.
    """
    parsed = _parse(expression)
    leaves = (
        symbol.license_symbol if isinstance(symbol, LicenseWithExceptionSymbol) else symbol for symbol in parsed.symbols
    )
    return frozenset(str(leaf.key) for leaf in leaves)


def _parse(expression: str) -> Any:
    try:
        parsed = _licensing().parse(expression)
    except (ExpressionError, ExpressionParseError) as error:
        raise InvalidLicenceExpressionError(str(error).replace("\n", " ")) from error
    if parsed is None:
        message = "the expression is empty"
        raise InvalidLicenceExpressionError(message)
    return parsed


def _category(node: Any) -> LicenceCategory:
    if isinstance(node, AND):
        return strictest(_category(part) for part in node.args)
    if isinstance(node, OR):
        return mildest(_category(part) for part in node.args)
    if isinstance(node, LicenseWithExceptionSymbol):
        # An exception only ever gives permissions; ScanCode files it under what licence and exception come to together.
        return mildest((_known(node.license_symbol.key), _known(node.exception_symbol.key)))
    return _known(node.key)


def _known(key: str) -> LicenceCategory:
    return _categories().get(key.lower(), LicenceCategory.UNKNOWN)


@cache
def _licensing() -> Any:
    return get_spdx_licensing()


@cache
def _categories() -> dict[str, LicenceCategory]:
    known: dict[str, LicenceCategory] = {}
    for licence in get_license_index():
        category = _FROM_SCANCODE.get(licence.get("category"), LicenceCategory.UNKNOWN)
        for key in (licence.get("spdx_license_key"), *licence.get("other_spdx_license_keys", ())):
            if key:
                known.setdefault(key.lower(), category)
    return known

"""The names people write for licences, in classifiers and in the free ``License`` field, and the SPDX ids they can mean.

Many of them do not settle on one licence: ``BSD License`` is any of several. So a name stands for the set of ids that it
*can* mean, and whoever compares two sources asks whether their sets meet.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from demo.licence_category import InvalidLicenceExpressionError, canonical, licences_in

_BSD = frozenset({"BSD-3-Clause", "BSD-2-Clause", "BSD-4-Clause", "0BSD", "BSD-1-Clause", "BSD-3-Clause-Clear"})
_APACHE = frozenset({"Apache-2.0"})
GPL = frozenset({"GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later", "GPL-1.0-or-later"})
_GPL2 = frozenset({"GPL-2.0-only", "GPL-2.0-or-later"})
_GPL3 = frozenset({"GPL-3.0-only", "GPL-3.0-or-later"})
LGPL = frozenset(
    {"LGPL-2.0-only", "LGPL-2.0-or-later", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later"}
)
_LGPL2 = frozenset({"LGPL-2.0-only", "LGPL-2.0-or-later", "LGPL-2.1-only", "LGPL-2.1-or-later"})
_LGPL3 = frozenset({"LGPL-3.0-only", "LGPL-3.0-or-later"})
_AGPL3 = frozenset({"AGPL-3.0-only", "AGPL-3.0-or-later"})
_PSF = frozenset({"PSF-2.0", "Python-2.0", "Python-2.0.1"})
_ARTISTIC = frozenset({"Artistic-1.0", "Artistic-1.0-Perl", "Artistic-1.0-cl8", "Artistic-2.0"})
_PROPRIETARY = frozenset({"LicenseRef-scancode-commercial-license"})


class Name(NamedTuple):
    """A licence as somebody named it."""

    label: str
    """Short, for people: an SPDX id where there is exactly one, else the family (``BSD (clauses not stated)``)."""
    ids: frozenset[str]
    """The SPDX ids it can mean."""


# Each pattern has to match the whole name, after `_tidy`. The first match counts.
_PATTERNS: tuple[tuple[str, str, frozenset[str]], ...] = (
    (r"(the )?(mit|expat)( licen[cs]e)?( \(mit\))?", "MIT", frozenset({"MIT"})),
    (r"mit no attribution licen[cs]e.*|mit-0", "MIT-0", frozenset({"MIT-0"})),
    (r"(the )?apache( software)?( licen[cs]e)?(,? ?(version|v)? ?2(\.0)?)?|asl ?2(\.0)?", "Apache-2.0", _APACHE),
    (
        r"(3-clause|new|modified|revised) bsd( licen[cs]e)?|bsd[- ]3([- ]clause)?( licen[cs]e)?",
        "BSD-3-Clause",
        frozenset({"BSD-3-Clause"}),
    ),
    (
        r"(2-clause|simplified|freebsd) ?(bsd)?( licen[cs]e)?|bsd[- ]2([- ]clause)?( licen[cs]e)?",
        "BSD-2-Clause",
        frozenset({"BSD-2-Clause"}),
    ),
    (r"(the )?bsd([- ]like|[- ]style)?( licen[cs]e)?", "BSD (clauses not stated)", _BSD),
    (r"isc( licen[cs]e)?( \(iscl\))?|iscl", "ISC", frozenset({"ISC"})),
    (r"(the )?unlicense( \(unlicense\))?", "Unlicense", frozenset({"Unlicense"})),
    (r"(the )?zlib(/libpng)?( licen[cs]e)?", "Zlib", frozenset({"Zlib"})),
    (r"cc0.*|public domain", "CC0-1.0 or public domain", frozenset({"CC0-1.0", "Unlicense"})),
    (r"boost software licen[cs]e.*|bsl-1\.0", "BSL-1.0", frozenset({"BSL-1.0"})),
    (
        r"python software foundation( licen[cs]e)?( version 2)?|psf( licen[cs]e)?|psfl|python licen[cs]e.*",
        "PSF-2.0",
        _PSF,
    ),
    (r"(historical permission notice and disclaimer|hpnd).*", "HPND", frozenset({"HPND"})),
    (r"(zope public licen[cs]e|zpl)( v?(ersion )?2\.1)?", "ZPL-2.1", frozenset({"ZPL-2.1"})),
    (r"academic free licen[cs]e.*|afl", "AFL-3.0", frozenset({"AFL-3.0"})),
    (r"university of illinois/ncsa.*", "NCSA", frozenset({"NCSA"})),
    (r"(mozilla public licen[cs]e|mpl)( |-)?(v|version )?2(\.0)?( \(mpl 2\.0\))?", "MPL-2.0", frozenset({"MPL-2.0"})),
    (r"mozilla public licen[cs]e 1\.1.*", "MPL-1.1", frozenset({"MPL-1.1"})),
    (r"eclipse public licen[cs]e (v )?2\.0.*", "EPL-2.0", frozenset({"EPL-2.0"})),
    (r"eclipse public licen[cs]e (v )?1\.0.*", "EPL-1.0", frozenset({"EPL-1.0"})),
    (r"european union public licen[cs]e 1\.2.*", "EUPL-1.2", frozenset({"EUPL-1.2"})),
    (r"(the )?artistic( licen[cs]e)?", "Artistic (version not stated)", _ARTISTIC),
    (r"(gnu )?affero general public licen[cs]e.*|(gnu )?agpl ?v?3?.*", "AGPL-3.0", _AGPL3),
    (r"gnu lesser general public licen[cs]e v?3.*|lgpl[- ]?v?3.*", "LGPL-3.0", _LGPL3),
    (r"gnu (lesser|library) general public licen[cs]e v?2.*|lgpl[- ]?v?2.*", "LGPL-2.x", _LGPL2),
    (
        r"gnu library or lesser general public licen[cs]e.*|gnu lesser general public licen[cs]e|(gnu )?lgpl( with exceptions)?",
        "LGPL (version not stated)",
        LGPL,
    ),
    (r"gnu general public licen[cs]e v?3.*|gpl[- ]?v?3.*", "GPL-3.0", _GPL3),
    (r"gnu general public licen[cs]e v?2.*|gpl[- ]?v?2.*", "GPL-2.0", _GPL2),
    (r"gnu general public licen[cs]e( \(gpl\))?|(gnu )?gpl", "GPL (version not stated)", GPL),
    (r"(other/)?proprietary( licen[cs]e)?.*|commercial.*|all rights reserved.*", "proprietary", _PROPRIETARY),
)


class Named(NamedTuple):
    """What a free text came to."""

    names: tuple[Name, ...]
    operator: str | None
    """``AND`` or ``OR`` where the text says which; None where it names several and does not say, or names just one."""


def recognise_name(text: str) -> Name | None:
    """The licence that a single name stands for, or None where it is none that is known here."""
    tidy = _tidy(text)
    for pattern, label, ids in _PATTERNS:
        if re.fullmatch(pattern, tidy):
            return Name(label, ids)
    try:
        ids = licences_in(canonical(text))
    except InvalidLicenceExpressionError:
        return None
    return Name(next(iter(ids)), ids) if len(ids) == 1 else None


def recognise_text(text: str) -> Named | None:
    """The licences that a short text names (``MIT -or- Apache License 2.0``); None where any part is not understood."""
    whole = recognise_name(text)
    if whole is not None:
        return Named((whole,), None)
    for separator, operator in (
        (r"\s+-?or-?\s+|\s*\|\s*", "OR"),
        (r"\s+and\s+|\s*&\s*", "AND"),
        (r"\s*[,;/+]\s*", None),
    ):
        parts = [part for part in re.split(separator, text.strip(), flags=re.IGNORECASE) if part]
        if len(parts) < 2:
            continue
        # "Apache License, Version 2.0" has a comma of its own.
        names = [recognise_name(part) for part in _rejoin_versions(parts)]
        if all(name is not None for name in names):
            return Named(tuple(name for name in names if name is not None), operator)
    return None


def _rejoin_versions(parts: list[str]) -> list[str]:
    joined: list[str] = []
    for part in parts:
        if joined and re.match(r"v(ersion)?\.? ?\d", part, re.IGNORECASE):
            joined[-1] = f"{joined[-1]}, {part}"
        else:
            joined.append(part)
    return joined


def _tidy(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip(" .\"'").lower()

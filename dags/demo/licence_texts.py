"""Which licences a licence file contains, told by phrases that only that licence has.

This is recognition, not legal reading: a text in which somebody changed one word in the middle still counts as what it
was made from. So each match says how it was made. ``FULL_TEXT``: the grant was found, and the condition or title that is
peculiar to the licence. ``MENTION``: the file only speaks of the licence, as a notice at the head of a source file does.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from demo.licence_names import GPL, LGPL


class MatchStrength(StrEnum):
    """How much of the licence's own wording was found."""

    FULL_TEXT = "full text"
    MENTION = "mention"


class TextMatch(NamedTuple):
    """One licence found in a file."""

    licence: str
    """SPDX id, or the family where the wording leaves the version open."""
    ids: frozenset[str]
    """The SPDX ids it can mean."""
    strength: MatchStrength


class _Wording(NamedTuple):
    licence: str
    all_of: tuple[str, ...]
    none_of: tuple[str, ...] = ()
    strength: MatchStrength = MatchStrength.FULL_TEXT
    ids: frozenset[str] = frozenset()
    """Empty: ``licence`` is an SPDX id and the only one."""


_MIT_GRANT = "permission is hereby granted, free of charge, to any person obtaining a copy of"
_MIT_CONDITION = "this permission notice shall be included in all copies"
_ISC_GRANT = (
    r"permission to use, copy, modify,? and(/or)? distribute this software( and its documentation)? for any purpose"
)
_BSD_GRANT = "redistribution and use in source and binary forms"
_BSD_ENDORSE = (
    r"(neither the names? |names? of .{0,80}? may not be used to endorse|may not be used to endorse or promote)"
)
_BSD_FIRST = r"redistributions of source code must retain"
_BSD_SECOND = r"redistributions in binary form must reproduce"

_WORDINGS: tuple[_Wording, ...] = (
    _Wording("MIT", (_MIT_GRANT, _MIT_CONDITION)),
    _Wording("MIT-0", (_MIT_GRANT, "without restriction"), (_MIT_CONDITION,)),
    _Wording("Apache-2.0", ("apache license,? version 2.0, january 2004", "grant of patent license")),
    _Wording("Apache-2.0", ("apache license,? version 2.0",), ("grant of patent license",), MatchStrength.MENTION),
    _Wording(
        "BSD-3-Clause", (_BSD_GRANT, _BSD_FIRST, _BSD_SECOND, _BSD_ENDORSE), ("all advertising materials mentioning",)
    ),
    _Wording("BSD-4-Clause", (_BSD_GRANT, "all advertising materials mentioning")),
    _Wording("BSD-2-Clause", (_BSD_GRANT, _BSD_FIRST, _BSD_SECOND), (_BSD_ENDORSE,)),
    _Wording("ISC", (_ISC_GRANT, "provided that the above copyright notice and this permission notice appear")),
    _Wording(
        "0BSD", (_ISC_GRANT, "with or without fee is hereby granted"), ("provided that the above copyright notice",)
    ),
    _Wording("MPL-2.0", (r"mozilla public license,? version 2\.0", r"covered software")),
    _Wording(
        "MPL-2.0", (r"mozilla public license,? v(ersion|\.)? ?2\.0",), (r"covered software",), MatchStrength.MENTION
    ),
    _Wording("LGPL-3.0-only", ("gnu lesser general public license version 3, 29 june 2007",)),
    _Wording("LGPL-2.1-only", ("gnu lesser general public license version 2.1, february 1999",)),
    _Wording("LGPL-2.0-only", ("gnu library general public license version 2, june 1991",)),
    _Wording(
        "LGPL (version not stated)",
        ("gnu lesser general public license as published",),
        ("gnu lesser general public license version (3, 29 june|2.1, february)",),
        MatchStrength.MENTION,
        LGPL,
    ),
    _Wording("AGPL-3.0-only", ("gnu affero general public license version 3, 19 november 2007",)),
    _Wording("GPL-3.0-only", ("gnu general public license version 3, 29 june 2007", "source code for a work means")),
    _Wording(
        "GPL-2.0-only",
        ("gnu general public license version 2, june 1991", "copyright holder saying it may be distributed"),
    ),
    _Wording(
        "GPL (version not stated)",
        (r"gnu general public license as published",),
        ("gnu general public license version (2, june|3, 29 june)", "gnu affero"),
        MatchStrength.MENTION,
        GPL,
    ),
    _Wording(
        "PSF-2.0", ("this license agreement is between the python software foundation", "psf hereby grants licensee")
    ),
    _Wording("Unlicense", ("this is free and unencumbered software released into the public domain",)),
    _Wording("CC0-1.0", ("cc0 1.0 universal",)),
    _Wording(
        "Zlib",
        (
            "this software is provided as-is, without any express or implied",
            "altered source versions must be plainly marked",
        ),
    ),
    _Wording("BSL-1.0", ("boost software license - version 1.0",)),
    _Wording("ZPL-2.1", (r"zope public license \(zpl\) version 2\.1",)),
    _Wording("EPL-2.0", ("eclipse public license - v 2.0",)),
    _Wording("Artistic-2.0", ("the artistic license 2.0",)),
    _Wording("Artistic-1.0-Perl", ("the artistic license preamble",)),
    _Wording(
        "HPND",
        (r"this software and its documentation for any purpose .{0,60}hereby granted", "supporting documentation"),
    ),
    _Wording("BUSL-1.1", ("business source license 1.1",)),
    _Wording("Elastic-2.0", ("elastic license 2.0",)),
    _Wording("SSPL-1.0", ("server side public license",)),
    _Wording(
        "LicenseRef-scancode-commercial-license",
        (r"(proprietary and confidential|all rights reserved\. unauthori[sz]ed)",),
    ),
)

# Texts which quote others: where the one on the left is found in full, a match on the right is part of it.
_QUOTES: dict[str, frozenset[str]] = {
    "HPND": frozenset({"ISC", "0BSD"}),
    "BSD-4-Clause": frozenset({"BSD-3-Clause", "BSD-2-Clause"}),
    "LGPL-3.0-only": frozenset({"GPL-3.0-only", "GPL (version not stated)"}),
    "MPL-2.0": frozenset({"GPL (version not stated)", "LGPL (version not stated)"}),
}


def recognise_licences(text: str) -> tuple[TextMatch, ...]:
    """The licences whose wording ``text`` contains, in the order of the table here. Empty where none is recognised."""
    plain = normalise(text)
    matches: dict[str, TextMatch] = {}
    for wording in _WORDINGS:
        if wording.licence in matches:
            continue
        if all(re.search(p, plain) for p in wording.all_of) and not any(re.search(p, plain) for p in wording.none_of):
            matches[wording.licence] = TextMatch(
                wording.licence, wording.ids or frozenset({wording.licence}), wording.strength
            )
    quoted = {q for licence, quotes in _QUOTES.items() if licence in matches for q in quotes}
    return tuple(match for licence, match in matches.items() if licence not in quoted)


def normalise(text: str) -> str:
    """Lower case, one space between words, no comment marks, bullets, quotation marks or mark-up.

    After the matching guidelines of SPDX (annex B of its specification).
    """
    lowered = text.lower().replace("licence", "license").replace("©", "(c)")
    without_marks = re.sub(r"[\"'`*#=>“”‘’«»_]+|^[ \t]*(//|;;|--)", " ", lowered, flags=re.MULTILINE)  # noqa: RUF001
    return re.sub(r"\s+", " ", without_marks.replace("as is", "as-is"))

from __future__ import annotations

from collections.abc import Mapping

import pytest

from demo.licence_category import InvalidLicenceExpressionError, LicenceCategory, canonical, category_of
from demo.licence_names import recognise_text
from demo.licence_texts import MatchStrength, recognise_licences


@pytest.mark.parametrize(
    "expression,category",
    [
        ("MIT", "permissive"),
        ("apache-2.0 or gpl-2.0-only", "permissive"),
        ("MIT AND GPL-2.0-only", "strong copyleft"),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", "weak copyleft"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "weak copyleft"),
        ("Apache-2.0 WITH LLVM-exception", "permissive"),
        ("BUSL-1.1", "proprietary"),
        ("LicenseRef-Ours", "unknown"),
        ("LicenseRef-Ours AND MPL-2.0", "unknown"),
        ("LicenseRef-Ours AND AGPL-3.0-only", "strong copyleft"),
    ],
)
def test_an_expression_is_as_strict_as_its_operators_make_it(expression: str, category: str) -> None:
    assert category_of(expression) is LicenceCategory(category)


def test_an_expression_is_rewritten_as_spdx_spells_it() -> None:
    assert canonical("apache-2.0 or mit") == "Apache-2.0 OR MIT"


@pytest.mark.parametrize("text", ["", "MIT AND", "(MIT", "Some Licence", "MIT OR Nonsense-1.0"])
def test_what_is_no_expression_of_known_licences_is_refused(text: str) -> None:
    with pytest.raises(InvalidLicenceExpressionError):
        canonical(text)


@pytest.mark.parametrize(
    "text,labels,operator",
    [
        ("MIT License", ["MIT"], None),
        ("Apache License, Version 2.0", ["Apache-2.0"], None),
        ("Apache 2", ["Apache-2.0"], None),
        ("3-Clause BSD License", ["BSD-3-Clause"], None),
        ("BSD 2-Clause License", ["BSD-2-Clause"], None),
        ("BSD License", ["BSD (clauses not stated)"], None),
        ("LGPL with exceptions", ["LGPL (version not stated)"], None),
        ("GNU Library or Lesser General Public License (LGPL)", ["LGPL (version not stated)"], None),
        ("GNU General Public License v2 or later (GPLv2+)", ["GPL-2.0"], None),
        ("MIT -or- Apache License 2.0", ["MIT", "Apache-2.0"], "OR"),
        ("MIT and PSF", ["MIT", "PSF-2.0"], "AND"),
        ("MIT License, Apache License, Version 2.0", ["MIT", "Apache-2.0"], None),
        ("Mozilla Public License 2.0 (MPL 2.0)", ["MPL-2.0"], None),
        ("Other/Proprietary License", ["proprietary"], None),
    ],
)
def test_a_name_is_recognised_however_it_is_written(text: str, labels: list[str], operator: str | None) -> None:
    named = recognise_text(text)

    assert named is not None
    assert [name.label for name in named.names] == labels
    assert named.operator == operator


@pytest.mark.parametrize("text", ["see the web site", "MIT or whatever you like", "free for all"])
def test_a_text_is_not_recognised_in_part(text: str) -> None:
    assert recognise_text(text) is None


def test_each_text_is_recognised_as_itself_and_nothing_else(licence_texts: Mapping[str, str]) -> None:
    found = {licence: [match.licence for match in recognise_licences(text)] for licence, text in licence_texts.items()}

    assert found == {licence: [licence] for licence in licence_texts}


def test_several_texts_in_one_file_are_all_found(licence_texts: Mapping[str, str]) -> None:
    matches = recognise_licences(licence_texts["MIT"] + licence_texts["Apache-2.0"])

    assert {match.licence for match in matches} == {"MIT", "Apache-2.0"}


def test_a_notice_is_told_from_the_full_text() -> None:
    notice = 'Licensed under the Apache License, Version 2.0 (the "License")'

    (match,) = recognise_licences(notice)

    assert match.licence == "Apache-2.0"
    assert match.strength is MatchStrength.MENTION


def test_layout_quotation_marks_and_comment_marks_do_not_matter(licence_texts: Mapping[str, str]) -> None:
    commented = "\n".join(f"# {line}" for line in licence_texts["MIT"].replace('"', "''").splitlines())

    assert [match.licence for match in recognise_licences(commented)] == ["MIT"]


def test_mit_without_its_condition_is_mit_0(licence_texts: Mapping[str, str]) -> None:
    text = licence_texts["MIT"].replace("this permission notice shall be included in all copies", "...")

    assert [match.licence for match in recognise_licences(text)] == ["MIT-0"]


@pytest.mark.parametrize("text", ["", "All of this is mine.", "See https://example.com/licence"])
def test_a_text_without_a_licence_is_none(text: str) -> None:
    assert recognise_licences(text) == ()

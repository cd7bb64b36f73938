"""Each licence source, alone and against the others, on distributions as an installer leaves them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import Distribution
from typing import TYPE_CHECKING

import pytest

from demo.facts import read_facts, read_recorded
from demo.findings import Severity
from demo.licence import Confidence, LicenceAssessment, assess_licence
from demo.licence_category import LicenceCategory
from demo.licence_claims import declared_claims, file_claim

if TYPE_CHECKING:
    from tests.unit.demo.conftest import MakeDistribution


def assess(distribution: Distribution) -> LicenceAssessment:
    facts = read_facts(distribution)
    files = [file_claim(file, read_recorded(distribution, file.path) or "") for file in facts.licence_files]
    return assess_licence([*declared_claims(facts), *files])


def codes(assessment: LicenceAssessment, severity: Severity = Severity.REVIEW) -> list[str]:
    return [finding.code for finding in assessment.findings if finding.severity is severity]


def test_an_expression_with_its_text_is_beyond_doubt(
    install: MakeDistribution, licence_texts: Mapping[str, str]
) -> None:
    assessment = assess(install(fields={"License-Expression": "MIT"}, licences={"LICENSE": licence_texts["MIT"]}))

    assert (assessment.licence, assessment.category) == ("MIT", LicenceCategory.PERMISSIVE)
    assert assessment.confidence is Confidence.HIGH
    assert assessment.findings == ()


def test_a_declaration_without_a_text_is_medium_and_wants_the_text(install: MakeDistribution) -> None:
    assessment = assess(install(fields={"License-Expression": "MIT"}))

    assert assessment.confidence is Confidence.MEDIUM
    assert codes(assessment) == ["licence-text-missing"]


def test_a_family_named_by_a_classifier_is_narrowed_by_the_text(
    install: MakeDistribution, licence_texts: Mapping[str, str]
) -> None:
    fields = {"Classifier": ["License :: OSI Approved :: BSD License"]}

    assessment = assess(install(fields=fields, licences={"LICENSE": licence_texts["BSD-3-Clause"]}))

    assert assessment.licence == "BSD-3-Clause"
    assert assessment.confidence is Confidence.HIGH


def test_a_family_that_nothing_narrows_stays_a_family(install: MakeDistribution) -> None:
    assessment = assess(install(fields={"Classifier": ["License :: OSI Approved :: BSD License"]}))

    assert assessment.licence == "BSD (clauses not stated)"
    assert assessment.category is LicenceCategory.PERMISSIVE


def test_the_old_field_in_words_is_understood(install: MakeDistribution, licence_texts: Mapping[str, str]) -> None:
    fields = {"License": "Apache License, Version 2.0"}

    assessment = assess(install(fields=fields, licences={"LICENSE": licence_texts["Apache-2.0"]}))

    assert (assessment.licence, assessment.confidence) == ("Apache-2.0", Confidence.HIGH)


def test_a_whole_text_in_the_old_field_is_recognised(
    install: MakeDistribution, licence_texts: Mapping[str, str]
) -> None:
    text = licence_texts["ISC"].replace("\n", "\n        ")

    assessment = assess(install(fields={"License": text}))

    assert assessment.licence == "ISC"


def test_a_text_alone_counts_but_the_missing_declaration_is_said(
    install: MakeDistribution, licence_texts: Mapping[str, str]
) -> None:
    assessment = assess(install(licences={"LICENSE": licence_texts["MIT"]}))

    assert (assessment.licence, assessment.confidence) == ("MIT", Confidence.MEDIUM)
    assert codes(assessment) == ["licence-undeclared"]


@pytest.mark.parametrize("fields", [{}, {"License": "UNKNOWN"}, {"License": ""}])
def test_no_licence_anywhere_is_unknown_and_for_review(install: MakeDistribution, fields: dict[str, str]) -> None:
    assessment = assess(install(fields=fields))

    assert (assessment.category, assessment.confidence) == (LicenceCategory.UNKNOWN, Confidence.NONE)
    assert codes(assessment) == ["licence-missing"]


def test_words_that_mean_nothing_here_are_unknown_and_quoted(install: MakeDistribution) -> None:
    assessment = assess(install(fields={"License": "free for good people"}))

    assert assessment.category is LicenceCategory.UNKNOWN
    assert any("free for good people" in finding.message for finding in assessment.findings)


def test_an_invalid_expression_is_said_and_the_other_sources_are_used(install: MakeDistribution) -> None:
    fields = {"License-Expression": "MIT AND", "Classifier": ["License :: OSI Approved :: MIT License"]}

    assessment = assess(install(fields=fields))

    assert assessment.licence == "MIT"
    assert "licence-invalid-expression" in codes(assessment)


def test_two_declarations_that_exclude_each_other_are_a_conflict_judged_by_the_stricter(
    install: MakeDistribution,
) -> None:
    fields = {"License": "MIT", "Classifier": ["License :: OSI Approved :: GNU General Public License v3 (GPLv3)"]}

    assessment = assess(install(fields=fields))

    assert "licence-conflict" in codes(assessment)
    assert (assessment.category, assessment.confidence) == (LicenceCategory.STRONG_COPYLEFT, Confidence.LOW)
    assert codes(assessment, Severity.REJECT) == [], "a doubtful ground asks for a person, and does not reject"


def test_a_text_of_another_licence_than_the_declared_one_is_a_conflict(
    install: MakeDistribution, licence_texts: Mapping[str, str]
) -> None:
    fields = {"License-Expression": "MIT"}

    assessment = assess(install(fields=fields, licences={"LICENSE": licence_texts["GPL-3.0-only"]}))

    assert "licence-conflict" in codes(assessment)
    assert assessment.confidence is Confidence.LOW


def test_a_stricter_text_beside_the_declared_one_is_pointed_out(
    install: MakeDistribution, licence_texts: Mapping[str, str]
) -> None:
    texts = {"LICENSE": licence_texts["MIT"], "LICENSE.other": licence_texts["MPL-2.0"]}

    assessment = assess(install(fields={"License-Expression": "MIT"}, licences=texts))

    assert codes(assessment) == ["licence-undeclared-text"]


def test_licences_of_bundled_code_are_a_note_and_not_the_distributions_own(
    install: MakeDistribution, licence_texts: Mapping[str, str]
) -> None:
    texts = {"LICENSE": licence_texts["MIT"], "made_up/_vendor/certifi/LICENSE": licence_texts["MPL-2.0"]}

    assessment = assess(install(fields={"License-Expression": "MIT"}, licences=texts))

    assert assessment.category is LicenceCategory.PERMISSIVE
    assert codes(assessment) == []
    assert codes(assessment, Severity.NOTE) == ["bundled-licence"]


def test_only_and_or_later_share_a_text_and_do_not_conflict(
    install: MakeDistribution, licence_texts: Mapping[str, str]
) -> None:
    fields = {"License-Expression": "LGPL-3.0-or-later"}

    assessment = assess(install(fields=fields, licences={"LICENSE": licence_texts["LGPL-3.0-only"]}))

    assert codes(assessment) == ["licence-category"]
    assert assessment.category is LicenceCategory.WEAK_COPYLEFT


def test_a_choice_between_licences_is_as_mild_as_the_mildest(
    install: MakeDistribution, licence_texts: Mapping[str, str]
) -> None:
    fields = {"License-Expression": "GPL-3.0-only OR MIT"}
    texts = {"LICENSE.GPL": licence_texts["GPL-3.0-only"], "LICENSE.MIT": licence_texts["MIT"]}

    assessment = assess(install(fields=fields, licences=texts))

    assert (assessment.category, assessment.findings) == (LicenceCategory.PERMISSIVE, ())


def test_classifiers_that_leave_a_choice_open_are_ambiguous(install: MakeDistribution) -> None:
    names = ["Artistic License", "GNU General Public License (GPL)", "GNU General Public License v2 or later (GPLv2+)"]

    assessment = assess(install(fields={"Classifier": [f"License :: OSI Approved :: {name}" for name in names]}))

    assert assessment.licence == "Artistic (version not stated) and/or GPL-2.0", "plain GPL adds nothing to GPLv2+"
    assert assessment.confidence is Confidence.LOW
    assert "licence-ambiguous" in codes(assessment)


@pytest.mark.parametrize("expression", ["AGPL-3.0-only", "BUSL-1.1"])
def test_a_licence_that_the_policy_excludes_is_rejected(install: MakeDistribution, expression: str) -> None:
    assessment = assess(install(fields={"License-Expression": expression}))

    assert codes(assessment, Severity.REJECT) == ["licence-category"]


def test_a_licence_file_that_record_names_and_nobody_has_is_no_text(install: MakeDistribution) -> None:
    record = "made_up-1.0.dist-info/licenses/LICENSE,,\n"

    assessment = assess(install(fields={"License-Expression": "MIT"}, extra={"RECORD": record}))

    assert assessment.confidence is Confidence.MEDIUM

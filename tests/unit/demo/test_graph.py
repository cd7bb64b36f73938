"""The workflow itself: on made-up distributions, and on every real one in this environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import ValidationError

from demo.graph import build_graph
from demo.inventory import chunked, installed
from demo.verdict import Decision, Verdict

if TYPE_CHECKING:
    from tests.unit.demo.conftest import MakeDistribution

TODAY = "2026-11-21"


async def audit(names: list[str], site: Path | None = None) -> list[Verdict]:
    request: dict[str, Any] = {"distributions": names, "as_of": TODAY}
    if site is not None:
        request["search_path"] = [str(site)]
    state = await build_graph().compile().ainvoke(request)
    return [Verdict.model_validate(verdict) for verdict in state["verdicts"]]


async def test_a_sound_distribution_is_ok(
    install: MakeDistribution, site: Path, licence_texts: Mapping[str, str]
) -> None:
    install(fields={"License-Expression": "MIT", "Summary": "Made up"}, licences={"LICENSE": licence_texts["MIT"]})

    (verdict,) = await audit(["made-up"], site)

    assert verdict.decision is Decision.OK
    assert (verdict.name, verdict.version, verdict.summary, verdict.licence) == ("made-up", "1.0", "Made up", "MIT")


async def test_the_heaviest_finding_of_all_three_checks_decides(install: MakeDistribution, site: Path) -> None:
    install(
        fields={"License-Expression": "AGPL-3.0-only", "Classifier": ["Development Status :: 7 - Inactive"]},
        files={"made_up/hidden.so": b"\x7fELF"},
    )

    (verdict,) = await audit(["made-up"], site)

    assert verdict.decision is Decision.REJECT
    assert {"licence-category", "inactive", "native-undeclared"} <= {finding.code for finding in verdict.findings}
    assert verdict.findings[0].code == "licence-category", "what weighs most comes first"


async def test_each_distribution_of_a_request_gets_its_own_verdict(install: MakeDistribution, site: Path) -> None:
    for number in range(40):
        install(f"made-up-{number}", f"1.{number}", fields={"License-Expression": "MIT"})

    verdicts = await audit([f"made-up-{number}" for number in range(40)], site)

    assert {verdict.name: verdict.version for verdict in verdicts} == {f"made-up-{n}": f"1.{n}" for n in range(40)}


async def test_the_result_is_recorded_for_the_worker(install: MakeDistribution, site: Path) -> None:
    install()
    graph = build_graph().compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "one"}}

    await graph.ainvoke({"distributions": ["made-up"], "as_of": TODAY, "search_path": [str(site)]}, config)

    checkpoint = (await graph.aget_state(config)).values
    assert [verdict["name"] for verdict in checkpoint["verdicts"]] == ["made-up"]


@pytest.mark.parametrize(
    "request_data,complaint",
    [
        ({"distributions": [], "as_of": TODAY}, "at least 1 item"),
        ({"distributions": ["a", "b", "a"], "as_of": TODAY}, "asked for more than once: a"),
        ({"distributions": ["a"], "as_of": "yesterday"}, "valid date"),
        ({"distributions": "pip", "as_of": TODAY}, "valid list"),
    ],
)
async def test_a_request_that_makes_no_sense_fails_in_words(request_data: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        await build_graph().compile().ainvoke(request_data)


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe\0", b"Name\n\n", b"License-Expression: \x80\nClassifier: ::\n"])
async def test_broken_metadata_is_a_finding_and_never_an_error(
    install: MakeDistribution, site: Path, damage: bytes
) -> None:
    install()
    for name in ("METADATA", "WHEEL", "RECORD", "direct_url.json"):
        (site / "made_up-1.0.dist-info" / name).write_bytes(damage)

    (verdict,) = await audit(["made-up"], site)

    assert verdict.decision is Decision.REVIEW
    assert "metadata-broken" in {finding.code for finding in verdict.findings}


async def test_every_distribution_of_this_environment_gets_exactly_one_verdict_and_always_the_same() -> None:
    names = list(installed())

    first = [verdict for chunk in chunked(names, 8) for verdict in await audit(chunk)]
    again = await audit(names)

    assert sorted(verdict.key for verdict in first) == names
    assert sorted(first, key=lambda verdict: verdict.key) == again


async def test_the_real_environments_well_known_licences_are_right() -> None:
    known = {
        "aiokafka": "Apache-2.0",
        "langgraph": "MIT",
        "click": "BSD-3-Clause",
        "hypothesis": "MPL-2.0",
        "typing-extensions": "PSF-2.0",
    }

    verdicts = await audit(list(known))

    assert {verdict.key: verdict.licence for verdict in verdicts} == known

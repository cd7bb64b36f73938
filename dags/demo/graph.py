"""The audit as a LangGraph workflow: many distributions in one request, each audited by a graph of its own.

::

    plan ──Send──▶ audit_distribution ─┐        audit_distribution:  read_metadata ─┬─▶ classify_licence ──┐
         ──Send──▶ audit_distribution ─┼─▶ result                                   ├─▶ check_native_code ─┼─▶ decide
         ──Send──▶ audit_distribution ─┘                                            └─▶ check_maintenance ─┘

Everything in the state is plain JSON, so that a checkpoint can be read by any version of this code; each node reads the
files that it judges itself, so that no licence text is ever written to a checkpoint. Nodes are synchronous: they read
files and compute, and LangGraph then runs them in threads beside the worker's event loop.
"""

from __future__ import annotations

import operator
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Required

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from pydantic import BaseModel, ConfigDict, Field, field_validator
from typing_extensions import TypedDict

from demo.facts import DistributionFacts, LicenceFile, read_facts, read_recorded
from demo.inventory import find
from demo.licence import LicenceAssessment, assess_licence
from demo.licence_claims import Claim, declared_claims, file_claim
from demo.maintenance import Maintenance, assess_maintenance
from demo.native_code import NativeCode, assess_native_code
from demo.release_date import find_release_date
from demo.verdict import give_verdict
from langgraph_integration import publish_result_node

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph


class AuditRequest(BaseModel):
    """The data of a request to this workflow."""

    model_config = ConfigDict(frozen=True)

    distributions: list[str] = Field(min_length=1)
    """Names, in any spelling; none twice."""
    as_of: date
    """The day from which ages are counted."""
    search_path: list[str] | None = None
    """Where to look for distributions; None: the worker's own environment."""

    @field_validator("distributions")
    @classmethod
    def _none_twice(cls, names: list[str]) -> list[str]:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            message = f"asked for more than once: {', '.join(twice)}"
            raise ValueError(message)
        return names


class AuditState(TypedDict, total=False):
    """The state of a request: its data, and the verdicts as they come in."""

    distributions: Required[list[str]]
    as_of: Required[str]
    search_path: list[str] | None
    verdicts: Annotated[list[dict[str, Any]], operator.add]


class DistributionState(TypedDict, total=False):
    """The state of one distribution's audit."""

    name: Required[str]
    as_of: Required[str]
    search_path: list[str] | None
    facts: dict[str, Any]
    licence: dict[str, Any]
    native_code: dict[str, Any]
    maintenance: dict[str, Any]
    verdicts: list[dict[str, Any]]


class _Verdicts(TypedDict):
    verdicts: list[dict[str, Any]]


def read_metadata(state: DistributionState) -> dict[str, Any]:
    """Read what the distribution declares."""
    return {"facts": read_facts(find(state["name"], state.get("search_path"))).model_dump(mode="json")}


def classify_licence(state: DistributionState) -> dict[str, Any]:
    """Compare what the metadata and the licence files say."""
    facts = DistributionFacts.model_validate(state["facts"])
    distribution = find(state["name"], state.get("search_path"))

    def claim(file: LicenceFile) -> Claim:
        return file_claim(file, read_recorded(distribution, file.path) or "")

    assessment = assess_licence([*declared_claims(facts), *map(claim, facts.licence_files)])
    return {"licence": assessment.model_dump(mode="json")}


def check_native_code(state: DistributionState) -> dict[str, Any]:
    """Look for machine code among the files."""
    facts = DistributionFacts.model_validate(state["facts"])
    return {
        "native_code": assess_native_code(facts, find(state["name"], state.get("search_path"))).model_dump(mode="json")
    }


def check_maintenance(state: DistributionState) -> dict[str, Any]:
    """Judge age, status and version."""
    facts = DistributionFacts.model_validate(state["facts"])
    as_of = date.fromisoformat(state["as_of"])
    released = find_release_date(facts, find(state["name"], state.get("search_path")), as_of=as_of)
    return {"maintenance": assess_maintenance(facts, released, as_of=as_of).model_dump(mode="json")}


def decide(state: DistributionState) -> dict[str, Any]:
    """Put the three checks together."""
    verdict = give_verdict(
        DistributionFacts.model_validate(state["facts"]),
        LicenceAssessment.model_validate(state["licence"]),
        NativeCode.model_validate(state["native_code"]),
        Maintenance.model_validate(state["maintenance"]),
    )
    return {"verdicts": [verdict.model_dump(mode="json")]}


def plan(state: AuditState) -> dict[str, Any]:
    """Check the request, so that a wrong one fails here, in words, and not in two hundred places.

    Raises:
        pydantic.ValidationError: the request's data are not an :class:`AuditRequest`.
    """
    request = AuditRequest.model_validate(dict(state))
    return {"as_of": request.as_of.isoformat(), "search_path": request.search_path}


def one_each(state: AuditState) -> list[Send]:
    """Map: one audit for each distribution of the request."""
    shared = {"as_of": state["as_of"], "search_path": state.get("search_path")}
    return [Send("audit_distribution", {"name": name, **shared}) for name in state["distributions"]]


def result_of(state: AuditState) -> dict[str, Any]:
    """The result: the verdicts by name, whatever order they came in."""
    return {
        "verdicts": sorted(state.get("verdicts", []), key=lambda verdict: str(verdict["key"])),
        "as_of": state["as_of"],
    }


def build_distribution_graph() -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph that audits one distribution."""
    builder = StateGraph(DistributionState, output_schema=_Verdicts)
    builder.add_node("read_metadata", read_metadata)
    builder.add_node("classify_licence", classify_licence)
    builder.add_node("check_native_code", check_native_code)
    builder.add_node("check_maintenance", check_maintenance)
    builder.add_node("decide", decide)
    builder.add_edge(START, "read_metadata")
    checks = ["classify_licence", "check_native_code", "check_maintenance"]
    for check in checks:
        builder.add_edge("read_metadata", check)
    builder.add_edge(checks, "decide")
    builder.add_edge("decide", END)
    return builder.compile()


def build_graph() -> StateGraph[Any, Any, Any, Any]:
    """The workflow, as ``langgraph.json`` names it. The worker compiles it with its own checkpointer."""
    builder = StateGraph(AuditState)
    builder.add_node("plan", plan)
    builder.add_node("audit_distribution", build_distribution_graph())
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", one_each, ["audit_distribution"])
    publish_result_node(builder, select=result_of, after="audit_distribution")
    return builder

"""What facts become: rows, links to the archive, and messages for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from result_store.archive_keys import request_key, result_key, step_key
from result_store.database.merging import RULES, rule_of
from result_store.database.tables import metadata
from result_store.errors import UnstorableError
from result_store.facts import Fact, ProgressFact
from result_store.rows import BatchRows, rows_of
from tests.unit.store.facts_made import at, invalid, progress, request, result, uid, whole_run
from workflow_events.events import ResultStatus

_ID = UUID("01900000-0000-7000-8000-000000000001")


def _rows(*facts: Fact, archives: bool = True, inline_bytes: int = 1000) -> BatchRows:
    return rows_of(facts, archives=archives, inline_bytes=inline_bytes)


def _custom(said: Any, *, node: str | None = "filter", step: int | None = 1, seconds: float = 1.0) -> ProgressFact:
    more: dict[str, Any] = {} if step is None else {"step": step}
    return progress(1, seconds, kind="custom", node=node, data=said, **more)


def test_a_key_has_the_day_in_utc_and_the_events_id() -> None:
    late = datetime.fromisoformat("2026-03-31T23:30:00-02:00")
    assert request_key(late, _ID) == f"requests/2026/04/01/{_ID}.json"
    assert result_key(late.astimezone(UTC), _ID) == f"results/2026/04/01/{_ID}.json"
    assert step_key(late, _ID) == f"steps/2026/04/01/{_ID}.json"


def test_requests_results_and_told_steps_are_archived_and_linked_and_nothing_else_is() -> None:
    facts = whole_run(1)
    found = _rows(*facts)
    (run,), (step,), decided = (found.tables[table] for table in ("runs", "steps", "decision_events"))
    keys = [run["request_archive_key"], run["result_archive_key"], step["archive_key"]]
    assert sorted(found.objects) == sorted(keys)
    assert {row["archive_key"] for row in decided} == {step["archive_key"]}
    assert found.objects[keys[0]].body == facts[0].raw  # type: ignore[union-attr]
    assert {row["key"]: row["sha256"] for row in found.tables["archive_objects"]} == {
        key: each.sha256 for key, each in found.objects.items()
    }


def test_without_an_archive_nothing_refers_to_it_and_every_result_is_in_its_row() -> None:
    found = _rows(*whole_run(1), archives=False, inline_bytes=1)
    assert found.objects == {}
    assert found.tables["archive_objects"] == []
    (run,) = found.tables["runs"]
    assert run["result"] == '{"answer":1}'
    assert run["request_archive_key"] is run["result_archive_key"] is None


def test_a_result_too_large_for_its_row_is_in_the_archive_alone_and_its_outputs_are_cut() -> None:
    answer = {"execution": {"stdout": "x" * 2000, "stderr": "short"}}
    (run,) = _rows(result(1, 1, answer=answer)).tables["runs"]
    assert run["result"] is None
    assert run["result_bytes"] > 2000
    assert run["stdout"] == "x" * 1000
    assert run["stderr"] == "short"


def test_a_step_has_what_the_worker_and_what_the_graph_tell_of_it() -> None:
    (step,) = _rows(*whole_run(1)).tables["steps"]
    assert step["step_key"] == "filter#1"
    assert (step["name"], step["at"], step["failed"]) == ("filter", at(5), False)
    assert (step["node_duration_ms"], step["duration_ms"]) == (3000.0, None)
    assert [step[each] for each in ("input_count", "output_count", "kept", "eliminated", "scored")] == [
        10,
        4,
        4,
        6,
        None,
    ]


@pytest.mark.parametrize(
    "fact, key, name",
    [
        pytest.param(_custom({"step": {}}), "filter#1", "filter", id="the node's name"),
        pytest.param(_custom({"step": {"name": "score"}}), "score#1", "score", id="its own name"),
        pytest.param(_custom({"step": {}}, step=None), "filter", "filter", id="no superstep"),
        pytest.param(_custom({"step": {}}, node=None, step=None), "unnamed", "unnamed", id="no name at all"),
        pytest.param(_custom({"step": {"name": "a#1"}}, step=None), "a##1", "a#1", id="a name like a key"),
        pytest.param(_custom({"step": {"name": "n" * 999}}), f"{'n' * 256}#1", "n" * 256, id="a long name"),
        pytest.param(result(1, 1, ResultStatus.ERROR, node="filter"), "filter", "filter", id="broken"),
    ],
)
def test_a_step_is_called_what_it_is_told_by(fact: Fact, key: str, name: str) -> None:
    (step,) = _rows(fact).tables["steps"]
    assert (step["step_key"], step["name"]) == (key, name)


def test_a_decision_is_told_from_others_by_its_item_and_step_and_the_last_word_counts() -> None:
    first = _custom({"decisions": [{"item": "a", "verdict": "kept"}, {"item": 7, "verdict": "scored", "score": 0.5}]})
    again = _custom({"decision": {"item": "a", "verdict": "eliminated", "reason": "late\0"}}, seconds=2)
    elsewhere = _custom({"decision": {"item": "a", "verdict": "kept"}}, step=2)
    found = _rows(again, first, elsewhere).tables["decision_events"]
    assert sorted((row["item"], row["verdict"], row["reason"], row["at"]) for row in found) == [
        ("7", "scored", None, at(1)),
        ("a", "eliminated", "late\ufffd", at(2)),
        ("a", "kept", None, at(1)),
    ]


@pytest.mark.parametrize(
    "said",
    [
        "step",
        ["step"],
        {"step": "filter"},
        {"decision": {"item": "a", "verdict": "perhaps"}},
        {"decision": {"item": "a", "verdict": ["kept"]}},
        {"decision": {"verdict": "kept"}},
        {"decisions": {"item": "a", "verdict": "kept"}},
        {"decisions": ["a", None]},
        {"left_out": "too large"},
    ],
)
def test_a_graph_may_say_what_it_likes(said: Any) -> None:
    found = _rows(_custom(said))
    assert found.tables["steps"] == found.tables["decision_events"] == []
    assert len(found.tables["run_events"]) == 1


def test_what_is_no_number_in_range_is_left_out() -> None:
    told = {"input_count": 2**63, "output_count": "7", "kept": True, "eliminated": 2.0, "tokens": 2.5, "cost": "1"}
    (step,) = _rows(_custom({"step": told}, step=2**31)).tables["steps"]
    columns = ("input_count", "output_count", "kept", "eliminated", "tokens", "cost")
    assert [step[each] for each in columns] == [None, None, None, 2, None, None]
    assert step["step_key"] == "filter"


def test_a_text_without_nul_is_stored_and_json_keeps_its_escape() -> None:
    (run,) = _rows(request(1, workflow_id="a\0b"), result(1, 1, answer={"t": "\0"})).tables["runs"]
    assert run["workflow_id"] == "a\ufffdb"
    assert run["result"] == '{"t":"\\u0000"}'
    (message,) = _rows(invalid(1, error="\0", headers=(("a\0", b"\0"),))).tables["invalid_messages"]
    assert message["error"] == "\ufffd"
    assert message["headers"] == '[["a\\u0000","AA=="]]'


@pytest.mark.parametrize(
    "fact",
    [
        request(1, attempt=2**31),
        result(1, 1, attempt=2**40),
        progress(1, 1, attempt=2**31),
        request(1).__class__(
            request(1).event.model_copy(update={"timestamp": datetime.fromisoformat("0001-01-01T00:00:00+14:00")}),
            b"",
        ),
    ],
    ids=["attempt of a request", "attempt of a result", "attempt of a worker", "time before the first year"],
)
def test_what_no_column_holds_is_poison_on_every_database(fact: Fact) -> None:
    with pytest.raises(UnstorableError):
        _rows(fact)


def test_rows_are_one_of_each_key_in_the_order_of_their_keys() -> None:
    found = _rows(*(fact for run in (3, 1, 2) for fact in [*whole_run(run), *whole_run(run)]))
    for table, rule in RULES.items():
        keys = [rule.key_of(row) for row in found.tables[table]]
        assert keys == sorted(set(keys))
    assert [row["correlation_id"] for row in found.tables["runs"]] == [uid(1), uid(2), uid(3)]


@pytest.mark.parametrize("table", sorted(RULES))
def test_every_column_has_a_rule(table: str) -> None:
    rule = rule_of(metadata.tables[table])
    grouped = [column for group in rule.groups for column in group.columns]
    ruled = [*rule.key, *grouped, *rule.first, *rule.last, *rule.either]
    assert len(ruled) == len(set(ruled))
    assert table == "run_events" or sorted(ruled) == sorted(rule.columns)

"""What is asked of the rows, on both kinds of database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from pydantic_core import from_json

from result_store.database.database import ResultDatabase
from result_store.errors import InvalidCursorError
from result_store.facts import Fact
from result_store.records import Page, Phase, RunState, Scope
from tests.unit.store.facts_made import (
    accepted,
    at,
    dead_letter,
    invalid,
    progress,
    request,
    result,
    uid,
    whole_run,
)
from workflow_events.events import EventType, ResultStatus

_Item = TypeVar("_Item")


async def _all(ask: Callable[[str | None], Awaitable[Page[_Item]]]) -> list[_Item]:
    page = await ask(None)
    found = list(page.items)
    while page.next is not None:
        page = await ask(page.next)
        found.extend(page.items)
    return found


async def test_a_run_is_given_with_its_timeline_and_its_end(database: ResultDatabase) -> None:
    # Given a run that went well, and was asked for twice
    execution = {"stdout": "out\0", "stderr": "", "exit_code": 0, "duration": 1.5, "peak_memory_bytes": 1024}
    facts = [*whole_run(1, user_id="ann", tenant=7)[:-1], request(1, 20, attempt=2, user_id="ann", tenant=7)]
    end = result(
        1, 21, attempt=2, answer={"n": 1, "execution": execution, "text": "\0"}, usage={"total_tokens": 5, "cost": 0.25}
    )
    # When all of it is saved
    await database.save([*facts, end])
    run = await database.queries.run(uid(1))
    # Then it is all there
    assert run is not None
    assert (run.state, run.phase, run.attempt, run.result_attempt) == (RunState.SUCCESS, Phase.FINISHED, 2, 2)
    assert (run.user_id, run.tenant_id, run.worker, run.node) == ("ann", "7", "w-1", "filter")
    assert (run.requested_at, run.accepted_at, run.begun_at, run.last_heard_at) == (at(0), at(1), at(2), at(6))
    assert (run.finished_at, run.updated_at, run.heartbeat_interval) == (at(21), at(21), 5.0)
    assert (run.total_tokens, run.cost) == (5, 0.25)
    assert run.result == {"n": 1, "execution": execution, "text": "\0"}
    assert run.execution is not None
    assert run.execution.model_dump() == {
        "stdout": "out\ufffd",
        "stderr": "",
        "exit_code": 0,
        "duration_ms": 1500.0,
        "peak_memory_bytes": 1024,
    }
    assert [(entry.kind, entry.at) for entry in run.timeline] == [
        ("requested", at(0)),
        ("accepted", at(1)),
        ("run_started", at(2)),
        ("node_started", at(3)),
        ("custom", at(5)),
        ("node_finished", at(6)),
        ("requested", at(20)),
        ("result", at(21)),
    ]
    # and nobody else sees it
    assert await database.queries.run(uid(1), Scope(user_id="ann")) is not None
    assert await database.queries.run(uid(1), Scope(user_id="bob")) is None
    assert await database.queries.run(uid(1), Scope(tenant_id="8")) is None
    assert await database.queries.run(uid(2)) is None


@pytest.mark.parametrize(
    "facts, state",
    [
        pytest.param([request(1)], RunState.PENDING, id="asked for"),
        pytest.param([request(1), accepted(1, 1)], RunState.ACCEPTED, id="in line"),
        pytest.param(
            [request(1), progress(1, 2, EventType.WORKFLOW_HEARTBEAT, node=None)],
            RunState.ACCEPTED,
            id="in line, beating",
        ),
        pytest.param([request(1), progress(1, 2, kind="run_started")], RunState.RUNNING, id="begun"),
        pytest.param(
            [progress(1, 2, EventType.WORKFLOW_HEARTBEAT, node="n")], RunState.RUNNING, id="beating in a node"
        ),
        pytest.param([result(1, 3, ResultStatus.ERROR), request(1)], RunState.ERROR, id="broken"),
        pytest.param(
            [result(1, 3, ResultStatus.ERROR), request(1, 4, attempt=2)], RunState.PENDING, id="asked for again"
        ),
        pytest.param(
            [result(1, 3, ResultStatus.ERROR), progress(1, 5, kind="run_started", attempt=2)],
            RunState.RUNNING,
            id="trying again",
        ),
        pytest.param([result(1, 3), request(1, 4, attempt=2)], RunState.SUCCESS, id="a success is a success"),
        pytest.param([result(1, 9, ResultStatus.ERROR, attempt=None)], RunState.ERROR, id="broken, attempt unknown"),
    ],
)
async def test_the_state_follows_from_what_was_told(
    database: ResultDatabase, facts: list[Fact], state: RunState
) -> None:
    saved = await database.save(facts)
    assert [event.state for event in saved.changed] == [state]
    assert await database.queries.count_by_state() == {state: 1}
    assert await database.queries.count_by_state(states=[state]) == {state: 1}
    assert await database.queries.count_by_state(states=set(RunState) - {state}) == {}


async def test_lists_are_read_page_by_page_without_gap_or_repetition(database: ResultDatabase) -> None:
    # Given 30 runs of two users in seven batches, many at the same time, and messages that are none
    owner = {run: "ann" if run % 3 else "bob" for run in range(30)}
    for run in range(30):
        ended = [result(run, 50 + run // 4, batch=f"b{run % 7}")] if run % 2 else []
        await database.save([request(run, run // 4, batch=f"b{run % 7}", user_id=owner[run]), *ended])
    await database.save([*map(invalid, range(5)), *(dead_letter(number, number // 2) for number in range(5))])
    ask, ann = database.queries, Scope(user_id="ann")
    # When each list is read in pages of three, Then all is there once, in order
    newest = sorted(range(30), key=lambda run: (50 + run // 4 if run % 2 else run // 4, uid(run)), reverse=True)
    ids = [run.correlation_id for run in await _all(lambda cursor: ask.runs(limit=3, cursor=cursor))]
    assert ids == [uid(run) for run in newest]
    of_ann = await _all(lambda cursor: ask.runs(ann, states=[RunState.PENDING], limit=3, cursor=cursor))
    assert [run.correlation_id for run in of_ann] == [uid(run) for run in newest if not run % 2 and owner[run] == "ann"]
    both = await _all(lambda cursor: ask.runs(states=[RunState.PENDING, RunState.SUCCESS], limit=3, cursor=cursor))
    assert [run.correlation_id for run in both] == ids
    assert await ask.runs(states=[]) == Page(items=[])
    assert len((await ask.runs(workflow_id="score", limit=100)).items) == 30
    assert (await ask.runs(workflow_id="other")).items == []

    batches = await _all(lambda cursor: ask.batches(limit=3, cursor=cursor))
    assert [batch.workflow_run_id for batch in batches] == list(dict.fromkeys(f"b{run % 7}" for run in newest))
    assert sum(batch.total for batch in batches) == 30
    of_ann_ = await _all(lambda cursor: ask.batches(user_id="ann", limit=3, cursor=cursor))
    assert sum(batch.total for batch in of_ann_) == 20
    assert await ask.batches(ann, user_id="bob") == Page(items=[])

    status = await ask.batch_status("b1", limit=2)
    assert status is not None
    members = [run for run in range(30) if run % 7 == 1]
    assert (status.total, status.by_state, status.by_phase, status.requested_at) == (
        len(members),
        {RunState.SUCCESS: 3, RunState.PENDING: 2},
        {Phase.FINISHED: 3, Phase.REQUESTED: 2},
        at(0),
    )

    # and so where one page holds all of it
    whole = await ask.batch_status("b1", limit=len(members))
    assert whole is not None
    assert (whole.requests.next, len(whole.requests.items)) == (None, len(members))
    assert whole.model_dump(exclude={"requests"}) == status.model_dump(exclude={"requests"})

    async def requests(cursor: str | None) -> Page[Any]:
        found = await ask.batch_status("b1", limit=2, cursor=cursor)
        assert found is not None
        return found.requests

    assert [run.correlation_id for run in await _all(requests)] == [uid(run) for run in members]
    assert await ask.batch_status("b1", Scope(user_id="nobody")) is None

    # and as JSON, a page and the whole
    for limit in (2, len(members)):
        found, written = await ask.batch_status("b1", limit=limit), await ask.batch_status_json("b1", limit=limit)
        assert found is not None
        assert written is not None
        assert from_json(written) == from_json(found.model_dump_json())
    assert await ask.batch_status_json("b1", Scope(user_id="nobody")) is None

    messages = await _all(lambda cursor: ask.invalid_messages(limit=2, cursor=cursor))
    assert [message.offset for message in messages] == [4, 3, 2, 1, 0]
    assert messages[0].value == "\\xff{"
    letters = await _all(lambda cursor: ask.dead_letters(limit=2, cursor=cursor))
    assert [letter.offset for letter in letters] == [4, 3, 2, 1, 0]


async def test_a_page_goes_on_where_the_last_ended_whatever_came_meanwhile(database: ResultDatabase) -> None:
    # Given a first page
    await database.save([request(run, run) for run in range(6)])
    first = await database.queries.runs(limit=3)
    # When newer requests come
    await database.save([request(run, run) for run in range(10, 13)])
    # Then the second page holds what lay behind the first
    second = await database.queries.runs(limit=3, cursor=first.next)
    assert [run.correlation_id for run in second.items] == [uid(2), uid(1), uid(0)]
    assert second.next is None


async def test_a_cursor_of_another_list_is_refused(database: ResultDatabase) -> None:
    await database.save([*map(request, range(3)), *map(invalid, range(3))])
    of_runs = (await database.queries.runs(limit=1)).next
    with pytest.raises(InvalidCursorError, match="without a cursor"):
        await database.queries.invalid_messages(cursor=of_runs)
    with pytest.raises(InvalidCursorError):
        await database.queries.batches(cursor=of_runs)
    with pytest.raises(InvalidCursorError):
        await database.queries.batch_status("batch", cursor="")

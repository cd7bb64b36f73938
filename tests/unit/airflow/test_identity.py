from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_integration.identity import identity_of, request_identity
from workflow_events.identifiers import timestamp_of

STARTED = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def context(**changes: Any) -> dict[str, Any]:
    instance = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "max_tries": 2, "try_number": 1}
    run = {"start_date": STARTED, "run_after": STARTED - timedelta(days=1)}
    return {
        "ti": SimpleNamespace(**{**instance, **{k: v for k, v in changes.items() if k in instance}}),
        "dag_run": SimpleNamespace(**{**run, **{k: v for k, v in changes.items() if k in run}}),
    }


def test_an_automatic_retry_asks_for_the_same_request_and_counts_the_attempt() -> None:
    first, second = identity_of(context(try_number=1)), identity_of(context(try_number=2))

    assert first.correlation_id == second.correlation_id
    assert (first.attempt, second.attempt) == (1, 2)


@pytest.mark.parametrize(
    "change",
    [{"max_tries": 3}, {"map_index": 0}, {"task_id": "u"}, {"run_id": "s"}, {"dag_id": "e"}],
    ids=["a clear", "another mapped instance", "another task", "another run", "another dag"],
)
def test_anything_but_a_retry_asks_for_another_request(change: dict[str, Any]) -> None:
    assert identity_of(context()).correlation_id != identity_of(context(**change)).correlation_id


def test_each_of_many_requests_has_an_id_of_its_own_that_a_retry_finds_again_and_a_clear_does_not() -> None:
    first, retried, cleared = (
        [identity_of(context(**change)).correlation_id_of(index) for index in range(100)]
        for change in ({}, {"try_number": 2}, {"max_tries": 3})
    )

    assert first == retried
    assert len({*first, *cleared, identity_of(context()).correlation_id}) == 201
    assert {timestamp_of(one) for one in first} == {STARTED}


def test_what_else_a_task_asks_for_has_an_id_by_what_it_is_about() -> None:
    mine, retried, cleared = (identity_of(context(**change)) for change in ({}, {"try_number": 2}, {"max_tries": 3}))
    about = [("question-1",), ("question-2",), ("question-1", "again")]

    ids = [mine.correlation_id_about(*one) for one in about]

    assert ids == [retried.correlation_id_about(*one) for one in about]
    assert {timestamp_of(one) for one in ids} == {STARTED}
    others = [cleared.correlation_id_about(*one) for one in about]
    assert len({*ids, *others, mine.correlation_id, *map(mine.correlation_id_of, range(10))}) == 17
    # The name of the kind is part of it: a question may have a number for its id
    assert mine.correlation_id_about("1") not in {mine.correlation_id_of(1), mine.correlation_id}
    # And it stays as it is, for a retry may be made by a newer version
    assert str(mine.correlation_id_about("question-1")) == "019ca945-0a00-7535-8fca-f1d6b079e6dd"


def test_one_of_many_is_not_mistaken_for_one_of_another_mapped_instance() -> None:
    ids = {
        identity_of(context(map_index=map_index)).correlation_id_of(index)
        for map_index in range(12)
        for index in range(12)
    }

    assert len(ids) == 144


def test_the_id_carries_the_start_of_the_run_so_that_a_waiter_knows_where_to_read_from() -> None:
    assert timestamp_of(identity_of(context()).correlation_id) == STARTED


def test_a_run_without_a_start_takes_the_time_it_was_due() -> None:
    identity = identity_of(context(start_date=None))

    assert timestamp_of(identity.correlation_id) == STARTED - timedelta(days=1)


def test_a_task_that_is_not_mapped_has_the_map_index_minus_one_however_airflow_tells_it() -> None:
    assert identity_of(context(map_index=None)) == identity_of(context(map_index=-1))


def test_the_run_groups_the_requests() -> None:
    assert identity_of(context(run_id="manual__1")).workflow_run_id == "manual__1"


def test_parts_cannot_be_shifted_from_one_name_to_the_next() -> None:
    same = {"run_id": "r", "map_index": -1, "generation": 0, "attempt": 1, "time": STARTED}

    one = request_identity(dag_id="a", task_id="bc", **same)  # type: ignore[arg-type]
    other = request_identity(dag_id="ab", task_id="c", **same)  # type: ignore[arg-type]

    assert one.correlation_id != other.correlation_id

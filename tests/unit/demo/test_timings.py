from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from demo.observation import RunHistory, TaskKey
from demo.progress import as_line, counted, counts
from demo.timings import NamedSpan, RequestTimes, bar, request_times, slot_seconds, stages
from workflow_events.events import WorkflowEvent, WorkflowEventPayload, WorkflowResultEvent

BEGIN = datetime(2026, 11, 21, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def record(task_id: str, map_index: int, state: str | None, **fields: Any) -> dict[str, Any]:
    return {"task_id": task_id, "map_index": map_index, "state": state, **fields}


def times(**moments: float | None) -> RequestTimes:
    names = [name for name in RequestTimes._fields if name != "map_index"]
    given: dict[str, Any] = {name: None if moments.get(name) is None else at(moments[name] or 0) for name in names}
    return RequestTimes(map_index=0, **given)


WHOLE = times(
    ready=0,
    started=2,
    requested=4,
    deferred=5,
    graph_started=5,
    graph_ended=7,
    replied=7,
    rescheduled=15,
    resumed=17,
    ended=18,
)


def test_each_stage_is_the_mean_and_the_longest_over_all_requests() -> None:
    slower = times(ready=0, started=6)

    found = {stage.title: (stage.mean, stage.longest) for stage in stages([WHOLE, slower])}

    assert found == {
        "Airflow: scheduled, queued, process started": (4, 6),
        "task: DAG read, request published": (2, 2),
        "Kafka and worker: request taken up": (1, 1),
        "worker: the graph runs": (2, 2),
        "worker: result published": (0, 0),
        "trigger: result received, deferral settled": (8, 8),
        "Airflow: queued, second process started, result taken": (3, 3),
    }


def test_a_stage_that_nobody_wrote_down_is_left_out() -> None:
    assert stages([times(ready=0)]) == []


def test_clocks_read_in_the_wrong_order_give_no_negative_time() -> None:
    (stage,) = stages([times(graph_ended=5.0, replied=4.9)])

    assert stage.mean == 0


def test_the_slot_is_held_but_for_the_time_between_deferral_and_resumption() -> None:
    assert slot_seconds([WHOLE]) == (16 - 12, 16)


def test_a_deferral_that_was_not_seen_counts_as_held() -> None:
    assert slot_seconds([times(started=0, ended=10)]) == (10, 10)


def test_a_bar_shows_every_stage_in_order() -> None:
    assert bar(WHOLE, BEGIN, at(20), 20) == "wwsssggddddddddwws.."


def test_a_graph_that_is_done_at_once_is_still_seen() -> None:
    quick = WHOLE._replace(graph_ended=at(5.01), replied=at(5.01))

    assert bar(quick, BEGIN, at(20), 20).count("g") == 1


def test_a_bar_of_an_ordinary_task_knows_no_deferral() -> None:
    assert bar(NamedSpan("report", at(2), at(3), at(5)), BEGIN, at(10), 10) == "..wss....."


def test_moments_beyond_the_run_do_not_break_a_bar() -> None:
    late = WHOLE._replace(ready=at(-30), ended=at(300))

    assert len(bar(late, BEGIN, at(20), 20)) == 20


def test_airflow_s_times_and_the_events_are_put_together_by_the_request_s_data() -> None:
    history = RunHistory()
    history.note([record("ask", -1, "success", end_date=at(1).isoformat())], at(1))
    for seconds, state in [(3, "running"), (5, "deferred"), (12, "running"), (13, "success")]:
        trigger = {"created_date": at(4.5).isoformat()} if state == "deferred" else None
        fields = {"start_date": at(2).isoformat(), "end_date": at(13).isoformat() if state == "success" else None}
        history.note(
            [record("work", 1, state, trigger=trigger, scheduled_when=at(10).isoformat(), **fields)], at(seconds)
        )
    data = [{"names": ["a"]}, {"names": ["b"]}]
    request = WorkflowEvent(
        event_type="workflow.triggered",
        source="airflow",
        workflow_id="w",
        workflow_run_id="r",
        timestamp=at(4),
        payload=WorkflowEventPayload(data=data[1]),
    )
    result = WorkflowResultEvent(
        correlation_id=request.event_id,
        workflow_id="w",
        workflow_run_id="r",
        timestamp=at(8),
        started_at=at(6),
        duration_ms=2000,
    )

    unseen, seen = request_times(
        history, {request.event_id: request}, {request.event_id: result}, data, asking_task="ask", mapped_task="work"
    )

    assert unseen == times(ready=1)._replace(map_index=0)
    assert seen == times(
        ready=1,
        started=2,
        requested=4,
        deferred=4.5,
        graph_started=6,
        graph_ended=8,
        replied=8,
        rescheduled=10,
        resumed=12,
        ended=13,
    )._replace(map_index=1)


def test_a_mapped_task_stands_for_itself_until_its_instances_are_known() -> None:
    history = RunHistory()
    history.note([record("audit", -1, None)], at(0))
    assert history.states("audit") == ["none"]

    history.note([record("audit", 0, "queued"), record("audit", 1, "failed")], at(1))

    assert history.states("audit") == ["queued", "failed"]
    assert history.failed() == [TaskKey("audit", 1)]


def test_states_are_counted_in_the_words_of_the_demo() -> None:
    states = ["none", "queued", "up_for_retry", "running", "deferred", "deferred", "success", "failed"]

    assert counts(states) == {"waiting": 3, "running": 1, "deferred": 2, "done": 1, "failed": 1}


def test_the_line_of_a_run_leaves_out_what_is_nought() -> None:
    history = RunHistory()
    history.note([record("ask", -1, "success"), record("work", 0, "deferred"), record("work", 1, "queued")], at(0))

    line = as_line(history, ["ask", "work", "report"], requests=1, results=0)

    assert line == "ask: 1 done | work: 1 waiting, 1 deferred | Kafka: 1 request, 0 results"


@pytest.mark.parametrize("requests,results,text", [(0, 0, "0 requests, 0 results"), (1, 1, "1 request, 1 result")])
def test_numbers_go_with_their_nouns(requests: int, results: int, text: str) -> None:
    assert counted(requests, results) == text

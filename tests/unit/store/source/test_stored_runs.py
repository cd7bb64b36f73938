"""What the store's API answers is read as the result that was published, and nothing else is taken for one."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from result_store.records import Phase, RunRecord, RunState, TimelineEntry
from workflow_events import (
    AccessDeniedError,
    ConfigurationError,
    ErrorDetail,
    KafkaSettings,
    ResultStoreUnavailableError,
    ResultTimeoutError,
    WorkflowResultEvent,
)
from workflow_events.events import ErrorCause, ResultStatus
from workflow_events.identifiers import derive_correlation_id
from workflow_events.pending import PendingRequest
from workflow_events.replies.store_questions import Outage, Question, is_long_ago
from workflow_events.stored_runs import StoredRun, read_answer, result_in

URL = "https://store.example.com"
JSON = "application/json"
PROBLEM = "application/problem+json"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def as_stored(event: WorkflowResultEvent, **changes: Any) -> RunRecord:
    """The store's record of a result, as its queries make it."""
    values = {
        **event.model_dump(exclude={"timestamp", "attempt", "claim_check"}),
        "state": event.status.value,
        "phase": Phase.FINISHED,
        "result_attempt": event.attempt,
        "finished_at": event.timestamp,
        "updated_at": event.timestamp,
        "timeline": [TimelineEntry(at=NOW, kind="requested", attempt=1)],
        "requested_at": NOW,
    }
    return RunRecord.model_validate({**values, **changes})


@pytest.mark.parametrize("status", ResultStatus)
@pytest.mark.parametrize("attempt", [None, 3])
def test_a_result_comes_back_from_the_store_as_it_was_published(status: ResultStatus, attempt: int | None) -> None:
    # Given a result with everything that a result may have
    event = WorkflowResultEvent(
        correlation_id=uuid4(),
        workflow_id="w",
        workflow_run_id="r",
        result={"text": "ä", "n": [1, None, 2.5]},
        status=status,
        timestamp=NOW,
        error="it broke",
        error_detail=ErrorDetail(
            type="builtins.ValueError",
            message="m",
            node="n",
            retryable=False,
            causes=(ErrorCause(type="t", message="c"),),
        ),
        attempt=attempt,
        thread_id="t",
        checkpoint_id="c",
        interrupts=[{"value": "sure?"}],
        usage={"total_tokens": 3},
        started_at=NOW - timedelta(seconds=2),
        duration_ms=1999.5,
    )
    # When the store tells of it
    run = read_answer(URL, event.correlation_id, 200, JSON, as_stored(event).model_dump_json().encode())
    # Then it is the same
    assert run is not None
    assert result_in(URL, run) == event


def test_every_field_that_is_read_is_one_that_the_store_gives() -> None:
    assert set(StoredRun.model_fields) <= set(RunRecord.model_fields)


def test_a_run_without_a_result_has_none() -> None:
    record = RunRecord(
        correlation_id=uuid4(), workflow_id="w", workflow_run_id="r", state=RunState.RUNNING, phase=Phase.RUNNING,
        updated_at=NOW,
    )  # fmt: skip

    run = read_answer(URL, record.correlation_id, 200, JSON, record.model_dump_json().encode())

    assert run is not None
    assert result_in(URL, run) is None


def test_a_request_that_the_store_does_not_know_is_none() -> None:
    asked = uuid4()
    body = json.dumps({"detail": f"There is no request {asked} here."}).encode()

    assert read_answer(URL, asked, 404, PROBLEM, body) is None


def test_a_result_that_the_store_cannot_get_from_its_archive_is_no_empty_result() -> None:
    event = WorkflowResultEvent(correlation_id=uuid4(), workflow_id="w", workflow_run_id="r", timestamp=NOW)
    record = as_stored(event, result=None, result_bytes=9_000_000)
    run = read_answer(URL, record.correlation_id, 200, JSON, record.model_dump_json().encode())

    assert run is not None
    with pytest.raises(ResultStoreUnavailableError, match="archive"):
        result_in(URL, run)


def test_a_result_that_no_event_can_hold_is_an_error_of_ours() -> None:
    event = WorkflowResultEvent(correlation_id=uuid4(), workflow_id="w", workflow_run_id="r", timestamp=NOW)
    record = as_stored(event, workflow_id="", duration_ms=-1.0)
    run = read_answer(URL, event.correlation_id, 200, JSON, record.model_dump_json().encode())

    assert run is not None
    with pytest.raises(ConfigurationError, match="holds no result: workflow_id"):
        result_in(URL, run)


@pytest.mark.parametrize(
    "status,content_type,body,error,said",
    [
        (401, PROBLEM, b'{"detail": "Unknown key."}', AccessDeniedError, "Unknown key"),
        (403, "text/plain", b"", AccessDeniedError, "KAFKA_RESULT_STORE_SERVICE"),
        (429, PROBLEM, b'{"detail": "Too often."}', ResultStoreUnavailableError, "429: Too often"),
        (502, "text/html", b"<h1>", ResultStoreUnavailableError, "502"),
        (404, "text/html", b"<h1>", ConfigurationError, "KAFKA_RESULT_STORE_URL"),
        (404, PROBLEM, b'{"detail": "There is nothing at this path."}', ConfigurationError, "nothing at this path"),
        (302, "text/html", b"", ConfigurationError, "answers 302"),
        (422, PROBLEM, b"not json", ConfigurationError, "answers 422"),
        (200, "text/html", b"<h1>", ConfigurationError, "no run"),
        (200, JSON, json.dumps({"state": "secret-value"}).encode(), ConfigurationError, "correlation_id"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_an_error_that_says_what_to_check(
    status: int, content_type: str, body: bytes, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said) as caught:
        read_answer(URL, uuid4(), status, content_type, body)
    assert URL in str(caught.value)
    assert "secret-value" not in str(caught.value)


def test_who_asks_to_be_quick_asks_once_and_who_lost_its_place_more_and_more_seldom() -> None:
    quick, lost = Question(), Question(insists=True)

    def waits() -> list[float]:
        found = []
        for _ in range(12):
            lost.asked += 1
            found.append(lost.again_in() or 0)
        return found

    seconds = waits()
    assert quick.again_in() is None
    assert 3 <= seconds[0] <= 5
    assert all(later > earlier for earlier, later in zip(seconds[:6:2], seconds[2:8:2], strict=True))
    assert 225 <= seconds[-1] <= 300


def test_a_store_that_is_away_is_left_in_peace_for_a_while_by_those_who_need_not_ask() -> None:
    outage = Outage()
    outage.note(ResultStoreUnavailableError("it is away."), now=100.0)

    assert outage.forbids(Question(), 101.0)
    assert not outage.forbids(Question(insists=True), 101.0)
    assert not outage.forbids(Question(), 116.0)
    outage.over()
    assert not outage.forbids(Question(), 101.0)


def pending(correlation_id: Any, cursor: dict[int, int]) -> PendingRequest:
    return PendingRequest(
        correlation_id=correlation_id, workflow_id="w", workflow_run_id="r", reply_topic="t", reply_cursor=cursor,
        deadline=NOW,
    )  # fmt: skip


def test_a_request_is_old_by_the_time_in_its_id_and_without_one_by_its_cursor() -> None:
    def made(seconds: float) -> Any:
        return derive_correlation_id("x", time=NOW - timedelta(seconds=seconds))

    assert is_long_ago(pending(made(61), {0: 9}), {0: 9}, NOW)
    assert not is_long_ago(pending(made(59), {0: 0}), {0: 9}, NOW)
    assert not is_long_ago(pending(made(-1000), {0: 0}), {0: 9}, NOW)
    assert is_long_ago(pending(uuid4(), {0: 8}), {0: 9}, NOW)
    assert not is_long_ago(pending(uuid4(), {0: 9}), {0: 9}, NOW)
    assert is_long_ago(pending(uuid4(), {0: 9}), {}, NOW)


def test_a_time_out_tells_of_the_store_also_after_a_journey() -> None:
    error = ResultTimeoutError(pending(uuid4(), {0: 1}), read_to={0: 1}, store="it is away")

    again = pickle.loads(pickle.dumps(error))

    assert str(again) == str(error)
    assert "Nor could the result store be asked: it is away." in str(error)


KEYED: dict[str, Any] = {"result_store_url": URL, "result_store_api_key": "wfk_1_sesame", "result_store_service": "s"}


@pytest.mark.parametrize(
    "values,said",
    [
        ({"result_store_url": "store.example.com"}, "name a URL"),
        ({"result_store_url": "ftp://store"}, "name a URL"),
        ({"result_store_url": "http://[::1"}, "name a URL"),
        ({"result_store_url": "https://me:sesame@store"}, "the key has a setting of its own"),
        ({"result_store_url": "https://store/?key=sesame"}, "the key has a setting of its own"),
        ({"result_store_api_key": "sesame", "result_store_service": "s"}, "KAFKA_RESULT_STORE_URL"),
        ({"result_store_url": URL, "result_store_api_key": "sesame"}, "KAFKA_RESULT_STORE_SERVICE"),
        ({"result_store_url": URL, "result_store_service": "s"}, "KAFKA_RESULT_STORE_API_KEY"),
        ({**KEYED, "result_store_api_key": "sesame\nX-User-ID: 1"}, "HTTP header"),
    ],
)
def test_settings_of_the_store_that_do_not_hold_say_what_to_set(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        KafkaSettings(**values)
    assert "sesame" not in str(caught.value)


def test_the_key_of_the_environment_is_not_sent_to_a_connections_store(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a store and its key in the environment
    for name, value in KEYED.items():
        monkeypatch.setenv(f"KAFKA_{name.upper()}", value)
    servers = {"bootstrap.servers": "broker:9092"}
    # Then a connection that names no store has them, and one that names another has no key
    assert KafkaSettings.from_librdkafka(servers).result_store_service == "s"
    other = KafkaSettings.from_librdkafka(servers, result_store_url="https://other.example.com/")
    assert other.result_store_url == "https://other.example.com"
    assert other.result_store_api_key is None

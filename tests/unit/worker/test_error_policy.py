"""What a worker's owner says about errors: which are worth another try, and whose messages may leave."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from langgraph.errors import GraphRecursionError

from langgraph_integration import ErrorPolicy, WorkerSettings, WorkflowFailure
from langgraph_integration.error_details import describe_error, is_retryable
from langgraph_integration.errors import RunTimeoutError
from langgraph_integration.execution import GraphRunner
from workflow_events import ConfigurationError, EventType, WorkflowEvent

SECRET = "postgresql://user:hunter2@host/db"


class BusyError(ValueError):
    pass


class VeryBusyError(BusyError):
    pass


BUSY = f"{BusyError.__module__}.BusyError"


def judged(error: BaseException) -> bool | None:
    """The judge that settings name below."""
    return True if "busy" in str(error) else None


@pytest.mark.parametrize(
    "policy, error, retryable",
    [
        pytest.param(ErrorPolicy(retryable=frozenset({BUSY})), BusyError(), True, id="named"),
        pytest.param(ErrorPolicy(retryable=frozenset({BUSY})), VeryBusyError(), True, id="derived"),
        pytest.param(ErrorPolicy(retryable=frozenset({BUSY})), ValueError(), False, id="the table as before"),
        pytest.param(ErrorPolicy(retryable=frozenset({"builtins.OSError"})), OSError(), True, id="built in"),
        pytest.param(
            ErrorPolicy(retryable=frozenset({BUSY}), permanent=frozenset({"builtins.ValueError"})),
            BusyError(),
            False,
            id="permanent wins",
        ),
        pytest.param(
            ErrorPolicy(permanent=frozenset({"builtins.ConnectionError"})),
            ConnectionResetError(),
            False,
            id="permanent",
        ),
        pytest.param(ErrorPolicy(judge=judged), ValueError("busy"), True, id="the judge says so"),
        pytest.param(ErrorPolicy(judge=judged), ValueError("x"), False, id="the judge has no opinion"),
        pytest.param(
            ErrorPolicy(judge=lambda error: False, retryable=frozenset({BUSY})),
            BusyError(),
            False,
            id="the judge first",
        ),
        pytest.param(ErrorPolicy(judge=lambda error: 1 // 0 == 0), TimeoutError(), True, id="a judge that raises"),
        pytest.param(
            ErrorPolicy(judge=cast("Any", lambda error: "yes")), TimeoutError(), True, id="a judge that babbles"
        ),
    ],
)
def test_the_owner_decides_before_the_workers_table(policy: ErrorPolicy, error: Exception, retryable: object) -> None:
    assert is_retryable(error, policy) is retryable


def chained() -> RuntimeError:
    error = RuntimeError(f"cannot reach {SECRET}")
    error.__cause__ = ValueError(SECRET)
    return error


def test_messages_are_told_whole_unless_it_is_asked_otherwise() -> None:
    assert SECRET in describe_error(chained()).message


def test_a_message_that_is_kept_back_is_replaced_by_where_it_is_and_so_are_its_causes() -> None:
    detail = describe_error(chained(), ErrorPolicy(redact=True))
    assert detail.type == "builtins.RuntimeError"
    assert "builtins.RuntimeError" in detail.message
    assert "log" in detail.message
    assert [cause.type for cause in detail.causes] == ["builtins.ValueError"]
    assert "hunter2" not in detail.model_dump_json()


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(WorkflowFailure("the author's words"), id="a failure"),
        pytest.param(RunTimeoutError("the author's words"), id="our own"),
        pytest.param(GraphRecursionError("the author's words"), id="LangGraph's"),
        pytest.param(VeryBusyError("the author's words"), id="one that is named"),
    ],
)
def test_messages_known_safe_are_told_all_the_same(error: Exception) -> None:
    policy = ErrorPolicy(redact=True, shown=frozenset({BUSY}))
    assert describe_error(error, policy).message == "the author's words"


async def test_what_the_requester_is_not_told_stands_whole_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    # Given a worker that keeps messages back
    def choose(event: WorkflowEvent) -> Any:
        return SimpleNamespace(open=lambda config: (_ for _ in ()).throw(chained()))

    event = WorkflowEvent(
        event_id=uuid4(),
        event_type=EventType.WORKFLOW_TRIGGERED,
        source="airflow",
        workflow_id="w",
        workflow_run_id="r",
    )
    # When a run breaks
    with caplog.at_level(logging.ERROR):
        answer = await GraphRunner(choose, error_policy=ErrorPolicy(redact=True)).answer(event)
    # Then the answer has none of the text, and the log has all of it, under the request's id
    assert answer.error_detail is not None
    assert "hunter2" not in answer.model_dump_json()
    assert str(event.event_id) in caplog.text
    assert SECRET in caplog.text


def test_the_settings_make_the_policy(tmp_path: Path) -> None:
    settings = WorkerSettings(
        retryable_errors="openai.RateLimitError, builtins.OSError",
        retry_judge=f"{__file__}:judged",
        redact_errors=True,
        shown_errors=BUSY,
    )
    policy = settings.error_policy()
    assert policy.retryable == {"openai.RateLimitError", "builtins.OSError"}
    assert policy.verdict(ValueError("busy")) is True
    assert not policy.may_show(ValueError())
    assert policy.may_show(BusyError())


@pytest.mark.parametrize("names", ["RateLimitError", "openai.", "openai.Rate-Limit"])
def test_a_name_without_its_module_is_refused(names: str) -> None:
    with pytest.raises(ConfigurationError, match="WORKFLOW_WORKER_RETRYABLE_ERRORS"):
        WorkerSettings(retryable_errors=names)


@pytest.mark.parametrize("reference", ["json:nothing", "json:__name__"])
def test_a_judge_that_is_none_is_refused_when_the_worker_is_made(reference: str) -> None:
    with pytest.raises(ConfigurationError, match="WORKFLOW_WORKER_RETRY_JUDGE"):
        WorkerSettings(retry_judge=reference).error_policy()

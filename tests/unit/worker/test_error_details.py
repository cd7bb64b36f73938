"""What an exception becomes on the wire, and whether asking again may help."""

from __future__ import annotations

import httpx
import pytest
from langgraph.errors import GraphRecursionError, InvalidUpdateError, NodeTimeoutError
from pydantic import BaseModel, ValidationError

from langgraph_integration.error_details import describe_error, is_retryable, message_of
from langgraph_integration.errors import DeadlineExceededError, RunTimeoutError, WorkflowFailure
from workflow_events.errors import BrokerUnavailableError


class StrangeError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class StatusError(Exception):
    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


def validation_error() -> ValidationError:
    class Model(BaseModel):
        x: int

    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"x": "no"})
    return caught.value


@pytest.mark.parametrize(
    "error, retryable",
    [
        pytest.param(ConnectionResetError(), True, id="connection"),
        pytest.param(TimeoutError(), True, id="timeout"),
        pytest.param(NodeTimeoutError("n", 2.0, kind="run", run_timeout=1.0), True, id="node timeout"),
        pytest.param(httpx.ConnectTimeout("x"), True, id="httpx timeout"),
        pytest.param(httpx.ReadError("x"), True, id="httpx network"),
        pytest.param(StatusError(503), True, id="status 503"),
        pytest.param(StatusError(429), True, id="status 429"),
        pytest.param(StatusError(401), False, id="status 401"),
        pytest.param(BrokerUnavailableError("x"), True, id="ours, says so"),
        pytest.param(WorkflowFailure("no"), False, id="failure"),
        pytest.param(WorkflowFailure("no", retryable=True), True, id="failure that may change"),
        pytest.param(RunTimeoutError("x"), True, id="run timeout"),
        pytest.param(DeadlineExceededError("x"), False, id="deadline"),
        pytest.param(ValueError("x"), False, id="value"),
        pytest.param(KeyError("x"), False, id="key"),
        pytest.param(InvalidUpdateError("x"), False, id="invalid update"),
        pytest.param(GraphRecursionError("x"), False, id="recursion limit"),
        pytest.param(validation_error(), False, id="validation"),
        pytest.param(RuntimeError("x"), None, id="unknown"),
        pytest.param(OSError("x"), None, id="some OS error"),
    ],
)
def test_whether_asking_again_may_help(error: Exception, retryable: object) -> None:
    assert is_retryable(error) is retryable


def test_the_cause_chain_is_told_nearest_first_and_ends() -> None:
    # Given an error with a cause, which has a context, which leads back to the error
    context = KeyError("k")
    cause = ValueError("v")
    cause.__context__ = context
    error = RuntimeError("r")
    error.__cause__ = cause
    context.__context__ = error
    # When it is described
    detail = describe_error(error)
    # Then each stands there once
    assert detail.type == "builtins.RuntimeError"
    assert [cause.type for cause in detail.causes] == ["builtins.ValueError", "builtins.KeyError"]


def test_a_context_that_was_suppressed_is_not_told() -> None:
    error = ValueError("v")
    error.__context__ = KeyError("secret")
    error.__suppress_context__ = True
    assert describe_error(error).causes == ()


def test_the_node_is_read_from_langgraphs_notes() -> None:
    error = ValueError("v")
    error.add_note("During task with name 'inner' and id 'x'")
    error.add_note("something else")
    error.add_note("During task with name 'outer' and id 'y'")
    assert describe_error(error).node == "outer|inner"


def test_a_node_tried_again_is_told_once() -> None:
    error = ValueError("v")
    for attempt in range(3):
        error.add_note(f"During task with name 'call' and id '{attempt}'")
    assert describe_error(error).node == "call"


def test_a_nodes_timeout_names_its_node() -> None:
    assert describe_error(NodeTimeoutError("slow", 2.0, kind="run", run_timeout=1.0)).node == "slow"


def test_our_own_refusals_have_names_that_any_language_can_use() -> None:
    assert describe_error(DeadlineExceededError("too late")).type == "DeadlineExceeded"


@pytest.mark.parametrize(
    "error, message",
    [
        pytest.param(ValueError(), "ValueError", id="no message"),
        pytest.param(StrangeError(), "StrangeError", id="a broken message"),
        pytest.param(ValueError("half \ud83d"), "half ?", id="half a surrogate pair"),
        pytest.param(ValueError("x" * 10_000), "x" * 4000 + "… (10000 characters)", id="a long message"),
    ],
)
def test_every_error_has_a_message_that_can_be_published(error: Exception, message: str) -> None:
    assert message_of(error) == message
    message_of(error).encode()

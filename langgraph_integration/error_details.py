"""What an exception becomes on the wire, and whether asking again may help.

The policy, by the exception's class and nothing else, first match:

==================================================================  =============
the exception                                                       ``retryable``
==================================================================  =============
the worker's owner has said (``error_policy``)                       what they said
says so itself (``WorkflowFailure``, our error tree)                 what it says
carries an HTTP status                                               408, 425, 429 and 5xx: true, others: false
connections and time-outs, also LangGraph's node time-out and httpx  true
programming errors, bad values, validation, recursion limit          false
anything else                                                        unknown (None)
==================================================================  =============

A message may hold what the requester must not see: a prompt, a connection's URL, a row. Where the owner has asked for it, the
messages of classes that are not known safe stay in the worker's log, and a sentence that says so takes their place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from langgraph.errors import EmptyInputError, GraphRecursionError, InvalidUpdateError, NodeTimeoutError

from langgraph_integration.error_policy import DEFAULT_POLICY, ErrorPolicy, qualified_name
from langgraph_integration.errors import RefusalError
from workflow_events.events import ErrorCause, ErrorDetail

__all__ = ["describe_error", "is_retryable", "keeps_something_back", "message_of", "shown_message"]

_MAX_CAUSES = 10
_LONGEST_MESSAGE = 4_000
_PASSING_STATUSES = frozenset({408, 425, 429})
_MAY_PASS = (ConnectionError, TimeoutError, NodeTimeoutError)
_STAYS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EmptyInputError,
    GraphRecursionError,
    ImportError,
    InvalidUpdateError,
    LookupError,
    NameError,
    NotImplementedError,
    PermissionError,
    FileNotFoundError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
)
# By name, so that none of these libraries is imported.
_MAY_PASS_NAMES = frozenset(
    {
        "anthropic.APIConnectionError",
        "httpcore.NetworkError",
        "httpcore.TimeoutException",
        "httpx.TransportError",
        "openai.APIConnectionError",
    }
)
_TASK_NOTE = re.compile(r"(?:During|Before) task with name '(?P<name>.*)' and (?:id|path) ")


def describe_error(error: BaseException, policy: ErrorPolicy = DEFAULT_POLICY) -> ErrorDetail:
    """The typed form of an error: its class, message, node, cause chain, and whether asking again may help."""
    return ErrorDetail(
        type=_type_of(error),
        message=shown_message(error, policy),
        node=_node_of(error),
        retryable=is_retryable(error, policy),
        causes=tuple(
            ErrorCause(type=_type_of(cause), message=shown_message(cause, policy)) for cause in _causes(error)
        ),
    )


def shown_message(error: BaseException, policy: ErrorPolicy = DEFAULT_POLICY) -> str:
    """The error's message, or what takes its place where it has to stay in the worker."""
    if policy.may_show(error):
        return message_of(error)
    return (
        f"The message of this {_type_of(error)} is kept in the worker (WORKFLOW_WORKER_REDACT_ERRORS): see its log, under this "
        "request's correlation id"
    )


def keeps_something_back(error: BaseException, policy: ErrorPolicy) -> bool:
    """Whether the error's message, or a cause's, has to stay in the worker."""
    return not all(policy.may_show(one) for one in (error, *_causes(error)))


def is_retryable(error: BaseException, policy: ErrorPolicy = DEFAULT_POLICY) -> bool | None:
    """Whether asking again may help; None where the class of the error does not tell."""
    verdict = policy.verdict(error)
    if verdict is not None:
        return verdict
    said = getattr(error, "retryable", None)
    if isinstance(said, bool):
        return said
    status = _http_status(error)
    if status is not None:
        return status in _PASSING_STATUSES or status >= 500
    if isinstance(error, _MAY_PASS) or any(qualified_name(kind) in _MAY_PASS_NAMES for kind in type(error).__mro__):
        return True
    return False if isinstance(error, _STAYS) else None


def message_of(error: BaseException) -> str:
    """The error's message, cut where it is too long for an event; the class's name where there is none."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not cost the requester its answer
        text = ""
    # A lone surrogate has no UTF-8 form, and a message with one could not be published.
    text = text.encode("utf-8", errors="replace").decode("utf-8") or type(error).__name__
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}… ({len(text)} characters)"


def _type_of(error: BaseException) -> str:
    return error.wire_type if isinstance(error, RefusalError) else qualified_name(type(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen = {id(error)}
    current = error
    for _ in range(_MAX_CAUSES):
        following = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
        if following is None or id(following) in seen:
            return
        seen.add(id(following))
        yield following
        current = following


def _node_of(error: BaseException) -> str | None:
    """The node that raised it; for a node of a subgraph, the path to it as LangGraph writes it (``outer|inner``).

    LangGraph tells it in the exception's notes, the innermost first, once for each try of a retried node.
    """
    names: list[str] = []
    for note in getattr(error, "__notes__", ()):
        found = _TASK_NOTE.match(note) if isinstance(note, str) else None
        if found and found["name"] not in names:
            names.append(found["name"])
    if names:
        return "|".join(reversed(names))
    node = getattr(error, "node", None)
    return node if isinstance(node, str) else None


def _http_status(error: BaseException) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int) and 100 <= status < 600:
            return status
    return None

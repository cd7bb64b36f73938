"""What the results of many requests mean to an Airflow task: a list of values for XCom, or one error.

Sync and deferred tasks both ask here. Pure: no Kafka client, no context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_integration.outcome import WorkflowTaskError, WorkflowTaskFailError, explain, is_worth_a_retry
from workflow_events.errors import WorkflowResultError
from workflow_events.events import ResultStatus
from workflow_events.indexes import show_indexes

if TYPE_CHECKING:
    from airflow_integration.gather_handover import Gathered
    from workflow_events.replies.gathering import WaitFor

__all__ = ["summary_of", "values_of"]

_MOST_REASONS = 3


def values_of(
    gathered: Gathered, wait_for: WaitFor, *, return_partial_on_timeout: bool = False
) -> list[dict[str, Any] | None]:
    """The task's value: the results in order; None for a request that did not succeed and need not have.

    A failure that leaves too few others to succeed fails the task, whether or not answers are missing too; with ``"all"`` any
    failure does. A retry may help if enough are left when only the failures that no retry would mend are counted.

    Raises:
        WorkflowTaskError: too many failed, and a retry may help.
        WorkflowTaskFailError: the same, and a retry would not help.
        GatherTimeoutError: too few answered by the deadline, unless partial results will do.
    """
    failures = _failures(gathered)
    count = len(gathered.results)
    needed = wait_for if isinstance(wait_for, int) else {"all": count, "first": 1}[wait_for]
    if count - len(failures) < needed:
        final = sum(not is_worth_a_retry(error) for error in failures.values())
        kind = WorkflowTaskFailError if count - final < needed else WorkflowTaskError
        first = next(iter(failures.values()))
        message = _message(gathered, failures, needed)
        raise kind(message, first.error_type, first.error_message, gathered.results) from first
    if gathered.timed_out is not None and not return_partial_on_timeout:
        raise gathered.timed_out
    return [
        dict(result.result) if result is not None and result.status is ResultStatus.SUCCESS else None
        for result in gathered.results
    ]


def summary_of(gathered: Gathered) -> str:
    """How many answered, and which failed."""
    answered = sum(result is not None for result in gathered.results)
    failures = _failures(gathered)
    failed = f"; these failed (counted from 0): {show_indexes(failures)}" if failures else ""
    return f"{answered} of {len(gathered.results)} requests are answered{failed}."


def _failures(gathered: Gathered) -> dict[int, WorkflowResultError]:
    failures: dict[int, WorkflowResultError] = {}
    for index, result in enumerate(gathered.results):
        if result is not None and result.status is not ResultStatus.SUCCESS:
            try:
                result.raise_for_status()
            except WorkflowResultError as error:
                failures[index] = error
    return failures


def _message(gathered: Gathered, failures: dict[int, WorkflowResultError], needed: int) -> str:
    count, workflow_id = len(gathered.results), gathered.requests[0].workflow_id
    wanted = "all" if needed == count else f"{needed}"
    said = [
        f"{len(failures)} of {count} requests to workflow {workflow_id!r} failed, and {wanted} were to succeed",
        f"these failed (counted from 0): {show_indexes(failures)}",
    ]
    said += [f"request {index}: {explain(error)}" for index, error in list(failures.items())[:_MOST_REASONS]]
    if len(failures) > _MOST_REASONS:
        said.append(f"and {len(failures) - _MOST_REASONS} more, in this error's results")
    if gathered.timed_out is not None:
        said.append(f"not answered by the deadline: {show_indexes(gathered.timed_out.indexes)}")
    return "; ".join(said)

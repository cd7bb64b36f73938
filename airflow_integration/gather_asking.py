"""How one task asks many times and gathers the answers; the part of the operator that is about lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_integration.cancelling import cancel
from airflow_integration.deferral import defer_until_gathered
from airflow_integration.gather_handover import Gathered
from airflow_integration.gather_outcome import summary_of, values_of
from airflow_integration.identity import identity_of
from airflow_integration.milestones import Milestones
from airflow_integration.requesting import RequestingTask, due_in
from airflow_integration.retries import going_on_from, recall, remember, successes_since
from workflow_events.errors import GatherTimeoutError
from workflow_events.replies.gathering import Gathering, WaitFor

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_integration.identity import RequestIdentity
    from workflow_events.client import WorkflowClient
    from workflow_events.pending import PendingRequest

__all__ = ["NO_LONGER_NEEDED", "GatheringTask", "each_of"]

NO_LONGER_NEEDED = "enough of the other requests have succeeded"
"""The reason that a cancelled run's result gives."""


class GatheringTask(RequestingTask):
    """An operator that asks many times.

    Attributes:
        wait_for: what is waited for.
        cancel_rest: whether the requests that are then no longer needed are cancelled.
        return_partial_on_timeout: whether what has come by the deadline will do.
    """

    workflow_id: str
    wait_for: WaitFor
    cancel_rest: bool
    return_partial_on_timeout: bool
    inline_result_limit: int | None

    def _request_options(self, identity: RequestIdentity) -> dict[str, Any]:
        raise NotImplementedError

    def _gather(self, data: Sequence[Mapping[str, Any]], context: Context) -> list[dict[str, Any] | None]:
        """Ask for each, and wait here or in the triggerer."""
        if not data:
            self.log.info("There is nothing to ask workflow %r: the list is empty.", self.workflow_id)
            return []
        Gathering(len(data), self.wait_for)  # raises before anything is asked
        with self.hook.client() as client:
            requests = self._ask_many(client, data, context)
            self._asked = requests
            with self._stopping_when_unwanted(context):
                gathered = self._gather_here(client, requests)
        if gathered is None:
            self._asked = ()  # from here on it is the trigger that is told of a kill
            defer_until_gathered(
                self,  # type: ignore[arg-type]  # an operator too
                requests,
                self.wait_for,
                conn_id=self.workflow_events_conn_id,
                inline_result_limit=self.inline_result_limit,
                method_name="execute_gathered",
            )
        return self._values_of(gathered)

    def _ask_many(
        self, client: WorkflowClient, data: Sequence[Mapping[str, Any]], context: Context
    ) -> list[PendingRequest]:
        """Ask for each; on a retry for those alone that have not succeeded yet."""
        identity = identity_of(context)
        ids = [identity.correlation_id_of(index) for index in range(len(data))]
        earlier = recall(context, ids[0]) if identity.attempt > 1 else None
        rest = list(range(len(data)))
        if earlier is not None:
            there = successes_since(client, earlier, ids, identity.attempt)
            rest = [index for index, found in enumerate(there) if found is None]
            self.log.info(
                "%d of %d requests have succeeded since an earlier try asked.", len(data) - len(rest), len(data)
            )
        # One is asked again in any case, for what all share: the workers publish its result once more.
        asked = client.submit_many(
            self.workflow_id,
            [data[index] for index in rest or [0]],
            correlation_ids=[ids[index] for index in rest or [0]],
            **self._request_options(identity),
        )
        shared = going_on_from(earlier, asked[0])
        requests = [shared.model_copy(update={"correlation_id": one}) for one in ids]
        remember(context, requests[0])
        self.run_link = self.hook.run_url(requests[0])
        self._log_asked(client, requests[0], f"each of {len(asked)} requests ({ids[0]} to {ids[-1]})")
        return requests

    def _gather_here(self, client: WorkflowClient, requests: Sequence[PendingRequest]) -> Gathered | None:
        """What has come of them; None where the task should defer to have it."""
        seconds = self._seconds_here(requests[0])
        if seconds is not None and seconds <= 0:
            return None
        milestones = Milestones(len(requests))

        def tell(answered: int, count: int) -> None:
            if milestones.is_one(answered):
                self.log.info("%d of %d requests are answered so far.", answered, count)

        waited_for = requests if seconds is None else [due_in(request, seconds) for request in requests]
        try:
            results = client.wait_many(waited_for, wait_for=self.wait_for, on_progress=tell)
        except GatherTimeoutError as error:
            if seconds is None:
                return Gathered(requests, error.results, error)
            answered = len(requests) - len(error.missing)
            self.log.info("%d of %d requests are answered within %g s; deferring.", answered, len(requests), seconds)
            return None
        return Gathered(requests, results)

    def _values_of(self, gathered: Gathered) -> list[dict[str, Any] | None]:
        if any(result is not None and result.claim_check is not None for result in gathered.results):
            gathered = replace(gathered, results=self.hook.with_payloads(gathered.results))
        self.log.info("%s", summary_of(gathered))
        rest = [request for request, result in zip(gathered.requests, gathered.results, strict=True) if result is None]
        if gathered.timed_out is not None:
            self._timed_out(rest)
        elif self.cancel_rest:
            cancel(self.hook.settings, rest, NO_LONGER_NEEDED)
        return values_of(gathered, self.wait_for, return_partial_on_timeout=self.return_partial_on_timeout)


def each_of(data: object, workflow_id: str) -> list[Mapping[str, Any]]:
    """The inputs in a list; Airflow's own sequences, such as a mapped task's output, are read once.

    Raises:
        TypeError: it is no list of dicts.
    """
    what = f"The data for workflow {workflow_id!r} must be a dict with JSON values, or a list of such dicts"
    if not isinstance(data, Sequence) or isinstance(data, str | bytes):
        raise TypeError(
            f"{what}, not {type(data).__name__}. A whole template renders to text; pass the upstream task's output itself "
            "(data=upstream.output), or put templates in the dict's values."
        )
    each = list(data)
    for index, one in enumerate(each):
        if not isinstance(one, Mapping):
            raise TypeError(f"{what}; element {index} of {len(each)}, counted from 0, is of type {type(one).__name__}.")
    return each

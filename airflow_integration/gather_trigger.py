"""Waits in the triggerer for the results of many requests of one task.

One trigger for all, on the consumer that all triggers of the process share. The event loop is shared too, with other people's
triggers, so waiters are registered a few at a time.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from airflow_integration.batch import PackedRequests, unpack
from airflow_integration.connection import DEFAULT_CONN_ID
from airflow_integration.gather_handover import hand_over_gather_error, hand_over_replies
from airflow_integration.handover import tell_timeout, tell_unheard
from airflow_integration.milestones import Milestones
from airflow_integration.options import DEFAULT_INLINE_RESULT_LIMIT
from airflow_integration.settled_trigger import LINGER_SECONDS, SettledTrigger, SettleOptions
from workflow_events.errors import NotAcceptedError, WorkerSilentError, WorkflowEventsError
from workflow_events.replies.gathering import Gathering, WaitFor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_integration.gather_handover import GatherHandover
    from airflow_integration.handover import TimedOut, WentUnheard
    from workflow_events.pending import PendingRequest
    from workflow_events.replies.async_reader import ReplyReader
    from workflow_events.replies.expectation import Expectation
    from workflow_events.replies.records import Reply

__all__ = ["WorkflowGatherTrigger"]

_SLICE = 250
"""How many waiters are registered before others of the event loop have their turn; some milliseconds' worth."""


class WorkflowGatherTrigger(SettledTrigger):
    """Fires once, when enough of many requests are answered, or cannot be any more, or at their deadline.

    Where the requests have clocks, it is also when the clocks of all that have not answered have run out.

    Args:
        requests: all of them, as :func:`airflow_integration.batch.pack` gives them.
        wait_for: see :data:`~workflow_events.replies.gathering.WaitFor`.
        workflow_events_conn_id: the Airflow connection.
        inline_result_limit: bytes up to which results, added up, travel in the event.
        settle: the task that deferred; None: fire at once.
    """

    def __init__(
        self,
        requests: PackedRequests,
        wait_for: WaitFor = "all",
        workflow_events_conn_id: str = DEFAULT_CONN_ID,
        inline_result_limit: int = DEFAULT_INLINE_RESULT_LIMIT,
        settle: SettleOptions | None = None,
    ) -> None:
        super().__init__(workflow_events_conn_id, settle)
        self.requests = requests
        self.wait_for = wait_for
        self.inline_result_limit = inline_result_limit

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path and the arguments to make this trigger again; nothing secret is among them."""
        return (
            "airflow_integration.gather_trigger.WorkflowGatherTrigger",
            {
                "requests": self.requests,
                "wait_for": self.wait_for,
                "workflow_events_conn_id": self.workflow_events_conn_id,
                "inline_result_limit": self.inline_result_limit,
                "settle": self.settle,
            },
        )

    def killed(self) -> Sequence[PendingRequest]:
        """All of them: what has ended by then is not stopped."""
        return unpack(self.requests)

    async def outcome(self) -> GatherHandover:
        """The results that have come, or why there are none."""
        try:
            # In a thread: for many, this takes longer than others of the event loop should have to wait.
            requests = await sync_to_async(unpack, thread_sensitive=False)(self.requests)
            settings, reader = await self.prepared()
            async with reader.lease(settings, requests[0].reply_topic, linger=LINGER_SECONDS) as replies:
                found, timed_out, unheard = await self._gather(replies, requests)
        except WorkflowEventsError as error:
            self.log.warning("Nothing can be gathered: %s", error)
            return hand_over_gather_error(self.requests, error)
        answered = sum(reply is not None for reply in found)
        self.log.info(
            "%d of %d requests are answered%s.", answered, len(found), "" if timed_out is None else " in time"
        )
        return hand_over_replies(self.requests, found, self.inline_result_limit, timed_out, unheard)

    async def _gather(
        self, reader: ReplyReader, requests: Sequence[PendingRequest]
    ) -> tuple[Sequence[Reply | None], TimedOut | None, WentUnheard | None]:
        from workflow_events.progress.ending_early import clocks_running  # noqa: PLC0415 - brings in a Kafka client
        from workflow_events.replies.scatter import gather_replies  # noqa: PLC0415 - so does this

        milestones = Milestones(len(requests))

        def tell(answered: int, count: int) -> None:
            if milestones.is_one(answered):
                self.log.info("%d of %d requests are answered so far.", answered, count)

        with ExitStack() as waiting:
            expected = []
            for index, request in enumerate(requests, start=1):
                expected.append(waiting.enter_context(reader.expect(request)))
                if index % _SLICE == 0:
                    await asyncio.sleep(0)
            async with clocks_running(reader, expected):
                found = await gather_replies(expected, self.wait_for, return_partial_on_timeout=True, on_progress=tell)
            gathering = Gathering(len(requests), self.wait_for)
            for index, reply in enumerate(found):
                if reply is not None:
                    gathering.add(index, reply)
            if gathering.done:
                return found, None, None
            told = tell_timeout(reader.cursor(), reader.trouble(), reader.store_trouble())
            return found, told, _clock_of(expected[gathering.missing[0]])


def _clock_of(expected: Expectation) -> WentUnheard | None:
    """The clock that ended a wait, for a handover; None where it was the deadline."""
    try:
        expected.outcome()
    except (NotAcceptedError, WorkerSilentError) as error:
        return tell_unheard(error)
    except WorkflowEventsError:
        return None
    raise AssertionError("asked of one that has an answer")

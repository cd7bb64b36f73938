"""Asks the brokers about the workers' consumer group: whether it exists, its members and its lag.

Asked only when a request was not taken in time. Many requests that were not taken at once share one answer.
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Any

from kafka import TopicPartition
from kafka.admin import OffsetSpec

from workflow_events.errors import BrokerUnavailableError, WorkflowEventsError
from workflow_events.progress.group_report import GroupReport
from workflow_events.retry import transport_retrying
from workflow_events.transport import blocking

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

    from workflow_events.settings import KafkaSettings

__all__ = ["WorkerGroup", "ask_for_committed", "ask_for_group"]

_FRESH_SECONDS = 1.0
"""How old an answer may be that is given again."""
_NO_SUCH_GROUP = "GroupIdNotFoundError"
_PASSING = ("CoordinatorLoadInProgressError", "CoordinatorNotAvailableError", "NotCoordinatorError")
"""A cluster in which nobody has ever been in a group makes the groups' topic when it is first asked about one."""


class WorkerGroup:
    """The workers' consumer group, as the brokers tell of it. Belongs to one event loop."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._turn = asyncio.Lock()
        self._answer: GroupReport | None = None
        self._asked_at = 0.0

    async def report(self, timeout: float) -> GroupReport:
        """What the brokers tell; never raises for what they do not.

        Args:
            timeout: seconds.
        """
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(timeout), self._turn:
                if self._answer is None or clock() - self._asked_at > _FRESH_SECONDS:
                    self._answer = await asyncio.to_thread(ask_for_group, self._settings, timeout)
                    self._asked_at = clock()
                return self._answer
        except TimeoutError:
            return _unknown(self._settings, f"no answer within {timeout:.3g} s")


def ask_for_group(settings: KafkaSettings, timeout: float) -> GroupReport:
    """What the brokers tell of the workers' group; never raises for what they do not.

    Args:
        timeout: seconds after which nothing is tried again.
    """
    hurried = settings.model_copy(update={"connect_timeout": timeout, "request_timeout": timeout})
    try:
        return transport_retrying(timeout)(_ask, hurried)
    except WorkflowEventsError as error:
        return _unknown(settings, _one_line(error))


def ask_for_committed(settings: KafkaSettings, timeout: float) -> dict[int, int] | None:
    """The offset from which on the workers' group has yet to finish, by partition of the topic of requests.

    Where the group has never committed, that is the partition's start. None where the brokers do not tell.

    Args:
        timeout: seconds after which nothing is tried again.
    """
    hurried = settings.model_copy(update={"connect_timeout": timeout, "request_timeout": timeout})
    try:
        return transport_retrying(timeout)(_committed, hurried)
    except WorkflowEventsError:
        return None


def _committed(settings: KafkaSettings) -> dict[int, int]:
    topic = settings.workflow_events_topic
    with (
        closing(blocking.new_admin(settings)) as admin,
        blocking.map_errors(settings, "read the workers' offsets", topic=topic),
    ):
        done, first, _ = _offsets(admin, settings)
    return {tp.partition: done.get(tp, offset) for tp, offset in first.items()}


def _ask(settings: KafkaSettings) -> GroupReport:
    group_id, topic = settings.workflow_worker_group, settings.workflow_events_topic
    with closing(blocking.new_admin(settings)) as admin:
        with blocking.map_errors(settings, f"describe the consumer group {group_id!r}"):
            try:
                group: dict[str, Any] = admin.describe_groups([group_id])[group_id]
            except ValueError:
                # The embedded broker's answer names rights that Kafka does not know.
                return _unknown(settings, "this broker does not describe its groups as Apache Kafka does")
        error, state = group.get("error"), group.get("group_state")
        if (error and _NO_SUCH_GROUP in error) or (not error and state == "Dead"):
            return GroupReport(group_id, topic, state="Dead")
        if error and any(name in error for name in _PASSING):
            raise BrokerUnavailableError(f"the group's coordinator is not ready: {error}")
        if error:
            return _unknown(settings, error)
        members = len(group.get("members") or ())
        try:
            return GroupReport(group_id, topic, state, members, _lag(admin, settings))
        except WorkflowEventsError as unasked:
            return GroupReport(group_id, topic, state, members, None, _one_line(unasked))


def _lag(admin: KafkaAdminClient, settings: KafkaSettings) -> int:
    with blocking.map_errors(settings, "read the workers' lag", topic=settings.workflow_events_topic):
        done, first, last = _offsets(admin, settings)
    # Where the group has never committed, it begins at the partition's start.
    return sum(max(0, end - done.get(tp, first[tp])) for tp, end in last.items())


def _offsets(
    admin: KafkaAdminClient, settings: KafkaSettings
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int], dict[TopicPartition, int]]:
    """What the group has committed, and where the partitions of the topic of requests begin and end."""
    group_id, topic = settings.workflow_worker_group, settings.workflow_events_topic
    [described] = admin.describe_topics([topic])
    every = [TopicPartition(topic, one["partition_index"]) for one in described["partitions"]]
    committed = admin.list_group_offsets([group_id]).get(group_id, {})
    last = admin.list_partition_offsets(dict.fromkeys(every, OffsetSpec.LATEST))
    first = admin.list_partition_offsets(dict.fromkeys(every, OffsetSpec.EARLIEST))
    done = {tp: at.offset for tp, at in committed.items() if at.offset >= 0}
    return done, {tp: at.offset for tp, at in first.items()}, {tp: at.offset for tp, at in last.items()}


def _unknown(settings: KafkaSettings, trouble: str) -> GroupReport:
    return GroupReport(settings.workflow_worker_group, settings.workflow_events_topic, trouble=trouble)


def _one_line(error: WorkflowEventsError) -> str:
    return " ".join(str(error).split()).rstrip(".")

"""What is known of the workers' consumer group, in words for an error. Pure; :mod:`.worker_group` asks."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GroupReport"]


@dataclass(frozen=True, slots=True)
class GroupReport:
    """A consumer group as the brokers tell of it.

    Attributes:
        group_id: which one.
        topic: the topic of requests.
        state: by Kafka's names (``"Stable"``, ``"Empty"``, ``"Dead"``); None where the brokers could not be asked.
        members: how many workers are in it.
        lag: requests on the topic that the group has not committed; None where that is not known.
        trouble: why the brokers could not be asked, or not for all.
    """

    group_id: str
    topic: str
    state: str | None = None
    members: int = 0
    lag: int | None = None
    trouble: str | None = None

    @property
    def exists(self) -> bool:
        """Whether there is such a group; also one whose members have all gone."""
        return self.state is not None and self.state != "Dead"

    def describe(self) -> str:
        """The report, and what it means for a request that nobody has taken."""
        if self.state is None:
            return (
                f"The consumer group {self.group_id!r} could not be asked about: {self.trouble or 'no reason given'}."
            )
        if not self.exists:
            return (
                f"There is no consumer group {self.group_id!r}: no worker runs in it here. Start a worker, or set "
                "KAFKA_WORKFLOW_WORKER_GROUP to the group that the workers are in."
            )
        lag = "its lag is not known" if self.lag is None else f"its lag on {self.topic!r} is {self.lag}"
        if self.trouble:
            lag += f" ({self.trouble})"
        if self.members == 0:
            return f"The consumer group {self.group_id!r} has no members, and {lag}: no worker runs. Start one."
        some = f"The consumer group {self.group_id!r} has {self.members} member{'s' * (self.members != 1)}, and {lag}"
        if self.lag == 0:
            return (
                f"{some}: every request was taken. Check that the workers report progress (WORKFLOW_WORKER_PROGRESS), and "
                "the dead-letter topic."
            )
        return f"{some}: the workers are busy, stuck or behind. Check their health and logs, or start more."

"""What the evidence means: how far the request has come, the first step that is missing, and why that is likely. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from workflow_events.explaining.history import history_of
from workflow_events.identifiers import timestamp_of

if TYPE_CHECKING:
    from datetime import datetime

    from workflow_events.explaining.evidence import Evidence
    from workflow_events.explaining.history import History

__all__ = ["Diagnosis", "Step", "clock", "diagnose"]

_BEATS: Final = 3.0
"""So many missed heartbeats are silence; the waiters' own clock begins at two."""
_SLACK_SECONDS: Final = 2.0


class Step(StrEnum):
    """What a request goes through."""

    PUBLISHED = "published"
    ACCEPTED = "accepted"
    BEGUN = "begun"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The answer to "where is my request?".

    Attributes:
        missing: the first step that nothing tells of; None where the request is finished.
        said: how far it has come, in a line.
        cause: why it has come no further, most likely; empty where it is finished.
        status: the result's, where there is one.
        notes: what else is worth knowing.
    """

    missing: Step | None
    said: str
    cause: str = ""
    status: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether there is a result that answers the last attempt."""
        return self.missing is None


def diagnose(evidence: Evidence) -> Diagnosis:
    """What the evidence means."""
    history = history_of(evidence)
    if history.ending is not None:
        return _finished(evidence, history)
    if history.begun is not None:
        missing, said = Step.FINISHED, f"begun {_at(history.begun, evidence)}{_by(history)}, not finished"
    elif history.accepted is not None:
        missing, said = Step.BEGUN, f"accepted {_at(history.accepted, evidence)}{_by(history)}, never begun"
    elif history.published is not None:
        missing, said = Step.ACCEPTED, f"published {_at(history.published, evidence)}, never accepted"
    else:
        missing, said = Step.PUBLISHED, "never published"
    if history.attempt > 1:
        said = f"attempt {history.attempt} {said}"
    cause = _given_up(evidence) or _unread_result(evidence, history)
    if cause is None:
        cause = {
            Step.PUBLISHED: _why_not_published,
            Step.ACCEPTED: _why_not_accepted,
            Step.BEGUN: _why_not_begun,
            Step.FINISHED: _why_not_finished,
        }[missing](evidence, history)
    return Diagnosis(missing, said, cause, notes=_notes(evidence, history))


def clock(time: datetime, now: datetime) -> str:
    """A time of day in UTC; with the date where that is another than today's."""
    time = time.astimezone(UTC)
    return f"{time:%H:%M:%S}" if time.date() == now.astimezone(UTC).date() else f"{time:%Y-%m-%d %H:%M:%S}"


def _finished(evidence: Evidence, history: History) -> Diagnosis:
    ending = history.ending
    assert ending is not None  # noqa: S101 - the caller has looked
    where = (
        f"the result is at {ending.where}" if ending.where else "the topic keeps it no longer; the result store has it"
    )
    said = f"finished {_at(ending.at, evidence)} with status {ending.event.status.value}; {where}"
    notes = [f"Its error: {ending.event.error}"] if ending.event.error else []
    if ending.where and evidence.store and "store" not in evidence.troubles:
        if evidence.stored is None:
            notes.append("The result store does not know the request: it may be behind, or this key may not see it.")
        elif evidence.stored.status is None:
            notes.append(f"The result store is behind: there it is {evidence.stored.state}.")
    return Diagnosis(None, said, status=ending.event.status.value, notes=notes + _unread(evidence))


def _given_up(evidence: Evidence) -> str | None:
    """A dead letter says it all, unless it was replayed."""
    letters = [letter for letter in evidence.letters if not letter.replayed]
    if not letters:
        return None
    last = letters[-1]
    return (
        f"it was given up ({last.code or 'no reason'}): {last.reason.rstrip('.') or 'the letter does not say why'}. See "
        f"`workflow-events dlq show {last.position}`"
    )


def _unread_result(evidence: Evidence, history: History) -> str | None:
    bad = [seen for seen in evidence.results if seen.problem]
    if bad:
        return f"there is a message in place of its result, at {bad[-1].where}, that no waiter takes: {bad[-1].problem}"
    if history.stale is not None and history.stale.event is not None and history.accepted is None:
        event = history.stale.event
        return (
            f"attempt {event.attempt} ended with status {event.status.value}, which does not answer attempt "
            f"{history.attempt}; and of that one, {_group_says(evidence, history)}"
        )
    return None


def _why_not_published(evidence: Evidence, history: History) -> str:  # noqa: ARG001
    bad = [seen for seen in evidence.requests if seen.problem]
    if bad:
        return f"there is a message with this id at {bad[-1].where}, and workers do not take it: {bad[-1].problem}"
    if "requests" in evidence.troubles:
        return f"or it is not known: {evidence.troubles['requests']}"
    topic = evidence.requests_topic
    if topic in evidence.forgotten:
        also = "" if evidence.store else "; a result store would remember it (KAFKA_RESULT_STORE_URL)"
        return f"or the topic {topic!r} keeps it no longer: its log begins later than the id was made{also}"
    if timestamp_of(evidence.correlation_id) is None:
        return (
            f"the id carries no time, and there is no request with it on {topic!r} since {clock(evidence.since, evidence.now)}. "
            "Raise KAFKA_LOOK_BACK if it is older, and check the id"
        )
    return (
        f"there is no request with this id on {topic!r} since {clock(evidence.since, evidence.now)}. Check the id, the brokers "
        "(KAFKA_BOOTSTRAP_SERVERS), the topic (KAFKA_WORKFLOW_EVENTS_TOPIC), and the requester's log"
    )


def _why_not_accepted(evidence: Evidence, history: History) -> str:
    said = _group_says(evidence, history)
    if "progress" in evidence.troubles:
        return f"{said}. Whether a worker took it is not known: {evidence.troubles['progress']}"
    return said


def _group_says(evidence: Evidence, history: History) -> str:
    """What the workers' group, and how far it has come, say of a request that nobody told of."""
    group = evidence.group
    if group is None:
        return "the workers' group was not asked about"
    name = f"group `{group.group_id}`"
    if group.state is not None and not group.exists:
        return f"there is no {name}: no worker has ever run in it here. Start one, or set KAFKA_WORKFLOW_WORKER_GROUP"
    if group.state is not None and group.members == 0:
        return f"{name} has no members: no worker runs. Start one"
    members = f"{name} has {group.members} member{'s' * (group.members != 1)}"
    if group.state is None:
        members = f"who is in {name} is not known ({(group.trouble or 'no reason given').rstrip('.')})"
    if history.place is None or evidence.committed is None:
        return f"{members}, nor how far it has come. Check that a worker runs, its logs and its health"
    partition, offset = history.place
    at = evidence.committed.get(partition, 0)
    if at > offset:
        return (
            f"{members}, and the group has finished with it (partition {partition} is committed to {at}, it lies at {offset}), "
            "without a word of progress and without a result that is still there. Check that the workers report progress "
            "(WORKFLOW_WORKER_PROGRESS), and where they publish results"
        )
    behind = offset - at
    before = f", with {behind} message{'s' * (behind != 1)} before it" if behind else ""
    advice = "Check that a worker runs" if group.state is None else "The workers are busy, stuck or behind"
    return (
        f"{members}, and the group has not come to it: it lies in partition {partition} at {offset}{before}. {advice}; look at "
        "health and logs, or start more"
    )


def _why_not_begun(evidence: Evidence, history: History) -> str:
    return _silence(evidence, history) or (
        f"{_worker(history)} is alive{_last_heard(evidence, history)} and has it wait for its turn: all its places are taken "
        "(WORKFLOW_WORKER_CONCURRENCY), or another request of the same thread runs"
    )


def _why_not_finished(evidence: Evidence, history: History) -> str:
    silence = _silence(evidence, history)
    if silence is not None:
        return silence
    node = f", in node {history.node!r}" if history.node else ""
    if evidence.cancels and history.begun is not None and evidence.cancels[-1].at >= history.begun:
        return (
            f"it was asked to stop at {clock(evidence.cancels[-1].at, evidence.now)}, and {_worker(history)} has yet to say that "
            f"it did{node}{_last_heard(evidence, history)}"
        )
    if history.beats_every is None:
        return f"{_worker(history)} announced no heartbeats, so it is still running or dead{node}{_last_heard(evidence, history)}"
    return f"{_worker(history)} is still at it{node}{_last_heard(evidence, history)}"


def _silence(evidence: Evidence, history: History) -> str | None:
    if history.heard is None or history.beats_every is None:
        return None
    silent = evidence.now - history.heard
    if silent <= timedelta(seconds=_BEATS * history.beats_every + _SLACK_SECONDS):
        return None
    node = f" in node {history.node!r}" if history.node else ""
    return (
        f"{_worker(history)} has been silent for {silent.total_seconds():.0f} s{node}, and beats every "
        f"{history.beats_every:g} s: it is dead, frozen or cut off from the brokers. Check its process and its logs; another "
        f"worker goes on with the request once the group has noticed ({_members(evidence)})"
    )


def _members(evidence: Evidence) -> str:
    group = evidence.group
    if group is None or group.state is None:
        return "the group could not be asked about"
    return f"`{group.group_id}` has {group.members} member{'s' * (group.members != 1)}"


def _notes(evidence: Evidence, history: History) -> list[str]:
    notes = []
    if history.deadline is not None and history.deadline <= evidence.now:
        notes.append(
            f"Its deadline was {clock(history.deadline, evidence.now)}: the requester has given up, and no worker begins it now."
        )
    if history.stale is not None and history.stale.event is not None:
        event = history.stale.event
        notes.append(
            f"Attempt {event.attempt} ended with status {event.status.value} ({history.stale.where}); that does not answer "
            f"attempt {history.attempt}."
        )
    if evidence.store and evidence.stored is None and "store" not in evidence.troubles:
        notes.append("The result store does not know the request.")
    return notes + _unread(evidence)


def _unread(evidence: Evidence) -> list[str]:
    return [f"Not read: {what}: {why}." for what, why in evidence.troubles.items()]


def _worker(history: History) -> str:
    return f"worker {history.worker}" if history.worker else "the worker"


def _by(history: History) -> str:
    return f" by worker {history.worker}" if history.worker else ""


def _last_heard(evidence: Evidence, history: History) -> str:
    if history.heard is None:
        return ""
    return f" (last heard {max(0.0, (evidence.now - history.heard).total_seconds()):.0f} s ago)"


def _at(time: datetime, evidence: Evidence) -> str:
    return clock(time, evidence.now)

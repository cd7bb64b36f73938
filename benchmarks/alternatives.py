"""Ours against what a user would pick instead: the same requests on the same broker, answered by the same responder.

**The job.** N requests are published at once, to one topic. A responder answers each, and publishes results by others among the
answers, 2,000 in all: a result topic is shared. Then, all N having been published, N waiters are taken up in one event loop, as a
triggerer takes them up some time after a task has asked and deferred. The clock runs from before the first request until the
last waiter has its own reply. It includes the waiters' connecting, for nobody is connected when the clock starts.

**Alike for all.** Each run is a process of its own, with all imports done, and has a new topic of six partitions. So the start of
the topic is as good as a reply cursor, and who knows no cursor finds no older messages in its way. All publish with one
connected producer, and take the reply cursor first, which only two of them use. Who looks for a reply compares a header, and
decodes only its own.

**Who competes.** The names are those in the table.

- *ours*: ``WorkflowResultTrigger``, one a waiter; they share a ``ReplyReader``.
- *AwaitMessageTrigger, as shipped*: the trigger of Airflow's Kafka provider with its own defaults, which are to sleep 5 s after
  each message that is not the one, and to commit each. The connection holds what its form in Airflow suggests: brokers and a
  group, one connection for all. The members of one group share out the messages, and begin at the end of the topic, so that a
  waiter hardly ever sees its own.
- *AwaitMessageTrigger, a group each*: as shipped, but configured kindly: every waiter has a connection of its own, with a group
  of its own that begins at the start of the topic. So it loses nothing. The sleeping stays.
- *AwaitMessageTrigger, tuned*: as the one before, without sleeping and without commits, as who has read its source would
  have it. What is left is its shape: N consumers, each polled for one message at a time, in the one thread that
  asgiref gives to all of a process.
- *a consumer each, at latest*: aiokafka, opened after sending at the end of the topic, as a first attempt is written. What was
  answered before it stands there is lost; that is known, and counted, once it has read to the end of the finished topic.
- *a consumer each, from the cursor*: aiokafka again, each from where the topic ended before the requests. It loses nothing,
  and every waiter reads everything.

The provider's ``KafkaSharedStreamTrigger`` is no contestant: it does share a consumer, but fires at every message, and is made
for watching assets; to have it wait for one reply, one would have to write the matching oneself.

**Limits.** Nobody is waited for longer than the seconds in the row's note; who was stopped counts as if all its replies had come
at that moment, so that its rate is an upper bound, and ours is at least so many times as fast. A bound does not get
better by being measured again: it is taken once, for all rounds. Who is merely slow takes part in fewer rounds, as the note
then says, and is compared within those.

A trigger that ends with an error has lost its reply; what the error was is on standard error.

On the embedded broker a group's members wait half their session's time-out for each other. There the kindly configured
connections set it to 3 s; the shipped one has librdkafka's 45 s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.alternatives_process import Job, Outcome, Triggerer, a_triggerer
from benchmarks.echo import echoing
from benchmarks.measuring import Figure, tell_progress
from workflow_events.testing.new_topics import settings_with_new_topics

if TYPE_CHECKING:
    from workflow_events import KafkaSettings

__all__ = ["measure"]

_STRANGERS = 2_000
_LIMITS = {1: 5.0, 20: 15.0, 100: 60.0}
"""By the number of waiters, seconds. The last is more than fifty times what ours takes even on a busy machine."""
_LEAST_LIMIT = 2.0
_WARM_UP_LIMIT = 20.0
_PATIENCE_SECONDS = 12.0
"""Who has taken so long in all, with so many waiters, is not run with them again."""
_EMBEDDED_GROUP = {"session.timeout.ms": 3000, "heartbeat.interval.ms": 500}
_SHIPPED = "AwaitMessageTrigger, as shipped"
_KIND = "AwaitMessageTrigger, a group each"
_OTHERS = (
    _SHIPPED,
    _KIND,
    "AwaitMessageTrigger, tuned",
    "a consumer each, at latest",
    "a consumer each, from the cursor",
)
_TARGETS = {_SHIPPED: ">= 50", _KIND: ">= 50"}


async def measure(settings: KafkaSettings, broker: str, runs: int, scale: float) -> AsyncIterator[Figure]:
    """1, 20 and 100 waiters among 2,000 strangers; and one who has a topic for itself."""
    strangers = round(_STRANGERS * scale)
    limits = {max(1, round(waiters * scale)): max(_LEAST_LIMIT, limit * scale) for waiters, limit in _LIMITS.items()}
    most = max(limits)
    with echoing(settings), a_triggerer() as triggerer:
        ring = _Ring(settings, broker, triggerer, runs)
        # What the broker does but once, such as to make the topic of all groups' offsets, is nobody's to pay for.
        for contestant in ("ours", _KIND):
            await ring.run(contestant, waiters=1, strangers=0, limit=_WARM_UP_LIMIT)
        alone = await ring.compete(1, 0, limits[min(limits)], [_KIND])
        yield ring.rates(alone, _KIND, target="")
        for waiters, limit in limits.items():
            match = await ring.compete(waiters, strangers, limit, _OTHERS)
            for other in _OTHERS:
                yield ring.rates(match, other, target=_TARGETS.get(other, "") if waiters == most else "")
            yield ring.completeness(match)
            if waiters == most:
                for other in _OTHERS:
                    yield ring.handles(match, other)


@dataclass(slots=True)
class _Match:
    """What came of one job, by contestant, in the order of the rounds."""

    waiters: int
    strangers: int
    limit: float
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)

    def pairs(self, other: str) -> tuple[list[Outcome], list[Outcome]]:
        """Ours and the other's, round by round. A bound stands for all rounds."""
        ours, theirs = self.outcomes["ours"], self.outcomes[other]
        if theirs[-1].stopped:
            theirs = theirs + [theirs[-1]] * (len(ours) - len(theirs))
        return ours[: len(theirs)], theirs


class _Ring:
    def __init__(self, settings: KafkaSettings, broker: str, triggerer: Triggerer, runs: int) -> None:
        self._settings = settings
        self._broker = broker
        self._triggerer = triggerer
        self._runs = runs
        self._group_options = _EMBEDDED_GROUP if broker == "embedded" else {}

    async def run(self, contestant: str, waiters: int, strangers: int, limit: float) -> Outcome:
        """Once, in a new topic; the responder's stays the same."""
        new = settings_with_new_topics(
            self._settings.bootstrap_servers, topic_partitions=self._settings.topic_partitions
        )
        settings = self._settings.model_copy(update={"workflow_results_topic": new.workflow_results_topic})
        return await self._triggerer.do(contestant, Job(settings, waiters, strangers, limit, self._group_options))

    async def compete(self, waiters: int, strangers: int, limit: float, others: Sequence[str]) -> _Match:
        """All in turn, in several rounds."""
        match = _Match(waiters, strangers, limit)
        for number in range(self._runs):
            tell_progress(f"{waiters} waiters", number, self._runs)
            for contestant in ("ours", *others):
                so_far = match.outcomes.setdefault(contestant, [])
                tired = sum(outcome.seconds for outcome in so_far) >= min(_PATIENCE_SECONDS, limit)
                if contestant == "ours" or not tired:
                    so_far.append(await self.run(contestant, waiters, strangers, limit))
        return match

    def rates(self, match: _Match, other: str, target: str) -> Figure:
        """Replies a second, from the first request to the last reply."""
        ours, theirs = match.pairs(other)
        return Figure(
            f"replies to {match.waiters} at once among {match.strangers:,} strangers",
            self._broker,
            [match.waiters / outcome.seconds for outcome in ours],
            [match.waiters / outcome.seconds for outcome in theirs],
            other,
            "replies/s",
            target,
            _note(match, other),
        )

    def completeness(self, match: _Match) -> Figure:
        """That none of ours was lost."""
        ours = match.outcomes["ours"]
        return Figure(
            f"ours: who has its own reply, of {match.waiters}",
            self._broker,
            [float(outcome.had) for outcome in ours],
            [float(match.waiters)] * len(ours),
            "all who asked",
            "waiters",
            ">= 1.0",
        )

    def handles(self, match: _Match, other: str) -> Figure:
        """Sockets and threads that waiting takes."""
        ours, theirs = match.pairs(other)
        return Figure(
            f"sockets and threads of {match.waiters} who wait",
            self._broker,
            [_handles(outcome) for outcome in ours],
            [_handles(outcome) for outcome in theirs],
            other,
            "count",
            "",
            f"{theirs[0].sockets} sockets and {theirs[0].threads} threads; ours {ours[0].sockets} and {ours[0].threads}",
        )


def _handles(outcome: Outcome) -> float:
    """One at least: who is done between two looks at the process was not seen with any."""
    return float(max(1, outcome.sockets + outcome.threads))


def _note(match: _Match, other: str) -> str:
    outcomes = match.outcomes[other]
    lost = [match.waiters - outcome.had for outcome in outcomes]
    if outcomes[-1].stopped:
        return (
            f"stopped after {match.limit:g} s with {match.waiters - lost[-1]} of {match.waiters} replies; taken as if all had "
            "come just then"
        )
    said = [f"{median(outcome.seconds for outcome in outcomes):.2g} s"]
    losses = " to ".join(str(one) for one in sorted({min(lost), max(lost)}))
    said += [f"lost {losses} of {match.waiters}"] if any(lost) else ["lost none"]
    if len(outcomes) < len(match.outcomes["ours"]):
        said.append(f"{len(outcomes)} runs" if len(outcomes) > 1 else "1 run")
    return ", ".join(said)

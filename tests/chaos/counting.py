"""What the ledger comes to. Pure: it is told what ran, what was stored and what was answered, and counts.

**A finished node** is one whose write the checkpointer has stored. From then on it must not run again, whoever dies. A node that
ended, and wrote its ledger row, and whose process died before its write was stored, is not finished: the next worker cannot
know of it and runs it again. So two rows of one node are no fault in themselves; what counts is whether the second
*began after the first was stored*. When that was is told by the database: the checkpoint tables get a column that
holds the time of each insert, and each execution's token is looked for in what was inserted (see ``stored.py``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.chaos.ledger import Answer, Execution

__all__ = ["Tally", "ran_again", "ran_at_once", "tally"]


@dataclass(frozen=True, slots=True)
class Tally:
    """The sums of one session.

    Attributes:
        asked: requests that were to be answered.
        right: of them, those with the right answer.
        lost: those with none by their deadline.
        wrong: those with another answer.
        double: those that a requester was answered twice, or that have two different results on the results topic.
        ran_again: executions of nodes that were finished: must be 0.
        ran_at_once: executions of a node that began while another of the same node was under way, in two workers.
        executions: of all nodes, to their end.
        unstored: of them, those that ended and could not be stored, as their worker died or was cut off.
        repeated: results that were published again, with the same content.
    """

    asked: int
    right: int
    lost: int
    wrong: int
    double: int
    ran_again: int
    ran_at_once: int
    executions: int
    unstored: int
    repeated: int

    @property
    def holds(self) -> bool:
        """Whether all that is promised holds."""
        return self.right == self.asked and not (self.lost or self.wrong or self.double or self.ran_again)

    def to_json(self) -> dict[str, Any]:
        """The sums by name."""
        return {**asdict(self), "holds": self.holds}


def tally(
    requests: Mapping[int, str],
    expected: Callable[[int], dict[str, Any]],
    answers: Sequence[Answer],
    published: Sequence[tuple[str, str]],
    executions: Sequence[Execution],
    stored: Mapping[str, float],
) -> Tally:
    """Count.

    Args:
        requests: the id of each number that was asked.
        expected: the right answer to a number.
        answers: what the requesters were told.
        published: id and content of every message on the results topic.
        executions: the ledger's.
        stored: when the write of an execution was stored, by its token.
    """
    told: dict[int, list[Answer]] = defaultdict(list)
    for answer in answers:
        told[answer.n].append(answer)
    first = {n: told[n][0] if told[n] else None for n in requests}
    lost = sum(answer is None or answer.status == "lost" for answer in first.values())
    right = sum(
        answer is not None
        and answer.status == "success"
        and answer.result == expected(n)
        and answer.request == requests[n]
        for n, answer in first.items()
    )
    contents: dict[str, Counter[str]] = defaultdict(Counter)
    for request, content in published:
        contents[request][content] += 1
    double = {request for request, found in contents.items() if len(found) > 1}
    double |= {requests[n] for n in requests if len(told[n]) > 1}
    return Tally(
        asked=len(requests),
        right=right,
        lost=lost,
        wrong=len(requests) - right - lost,
        double=len(double),
        ran_again=len(ran_again(executions, stored)),
        ran_at_once=len(ran_at_once(executions)),
        executions=len(executions),
        unstored=sum(one.token not in stored for one in executions),
        repeated=sum(sum(found.values()) - len(found) for found in contents.values()),
    )


def ran_again(executions: Sequence[Execution], stored: Mapping[str, float]) -> list[Execution]:
    """The executions that began after another one of the same node, for the same request, had been stored."""
    return [
        later
        for found in _by_node(executions).values()
        for later in found
        if any(stored.get(one.token, float("inf")) < later.began for one in found if one is not later)
    ]


def ran_at_once(executions: Sequence[Execution]) -> list[Execution]:
    """The executions that began while another one of the same node, for the same request, was under way elsewhere."""
    return [
        later
        for found in _by_node(executions).values()
        for later in found
        if any(one.began < later.began < one.ended and one.worker != later.worker for one in found)
    ]


def _by_node(executions: Sequence[Execution]) -> Mapping[tuple[str, str], list[Execution]]:
    found: dict[tuple[str, str], list[Execution]] = defaultdict(list)
    for one in executions:
        found[one.request, one.node].append(one)
    return found

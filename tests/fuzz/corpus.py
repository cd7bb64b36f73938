"""As many messages as are asked for, from Hypothesis, with a seed that is printed."""

from __future__ import annotations

import os
from uuid import UUID

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.messages import FuzzMessage, messages

__all__ = ["COUNT", "SEED", "corpus"]

COUNT = int(os.environ.get("FUZZ_MESSAGES", "5000"))
"""How many messages there are in all, over all topics."""
SEED = int(os.environ.get("FUZZ_SEED") or int.from_bytes(os.urandom(4)))
_AT_A_TIME = 1000


def corpus(count: int, *, known: tuple[UUID, ...] = (), salt: int = 0) -> list[FuzzMessage]:
    """That many messages; the same for the same seed, salt and version of Hypothesis.

    Hypothesis stops where it has seen all that a strategy can give, or repeats itself; so it is asked again, with another seed,
    until there are enough.
    """
    found: list[FuzzMessage] = []
    turn = 0
    while len(found) < count:
        _collect(found, min(_AT_A_TIME, count - len(found)), known, SEED + salt * 1_000_003 + turn)
        turn += 1
    return found[:count]


def _collect(found: list[FuzzMessage], count: int, known: tuple[UUID, ...], chosen_seed: int) -> None:
    @seed(chosen_seed)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(messages(known))
    def collect(message: FuzzMessage) -> None:
        found.append(message)

    collect()

"""Parts are built behind what they need, closed in reverse, and who needs a missing one is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from graphlib import CycleError
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from result_store.errors import DatabaseError, WiringError
from result_store.roles import Role
from result_store.wiring import Outcome, Part, Wiring

Log = list[str]


def part(name: str, *needs: str, fails: Exception | None = None, touch_fails: Exception | None = None) -> Part[Log]:
    @asynccontextmanager
    async def opened(log: Log) -> AsyncIterator[None]:
        if fails is not None:
            raise fails
        log.append(f"+{name}")
        try:
            yield
        finally:
            log.append(f"-{name}")

    async def touch(log: Log) -> str:
        log.append(f"!{name}")
        if touch_fails is not None:
            raise touch_fails
        return f"{name} is there"

    return Part(name, needs, (f"SET_{name.upper()}",), f"Set SET_{name.upper()}.", opened, touch)


def diamond(**about: Part[Log]) -> Wiring[Log]:
    parts = {
        "top": part("top", "left", "right"),
        "left": part("left", "bottom"),
        "right": part("right", "bottom"),
        "bottom": part("bottom"),
        "apart": part("apart"),
    } | about
    return Wiring(parts.values(), {Role.ALL: ("top",), Role.API: ("right",), Role.REPORT: ("apart",)})


async def test_parts_open_behind_what_they_need_and_close_in_reverse() -> None:
    log: Log = []
    async with diamond().built(Role.ALL, log):
        log.append("built")
    at = log.index("built")
    opened, closed = [one[1:] for one in log[:at]], [one[1:] for one in log[at + 1 :]]
    assert (opened[0], opened[-1]) == ("bottom", "top")
    assert closed == opened[::-1]
    assert "apart" not in opened


async def test_a_part_that_cannot_be_built_closes_what_was_and_says_who_needs_it_and_what_to_set() -> None:
    # Given a part whose driver repeats the password
    log: Log = []
    wiring = diamond(right=part("right", "bottom", fails=OSError("no route to x://user:hunter2@host/db")))
    # When the role is built
    with pytest.raises(WiringError) as caught:
        async with wiring.built(Role.ALL, log):
            pass
    # Then the sentence has the part, the chain and the variable, and not the password
    assert "Needed by: result-store run -> top -> right. Set SET_RIGHT." in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert sorted(one[1:] for one in log if one[0] == "+") == sorted(one[1:] for one in log if one[0] == "-")


async def test_a_check_goes_on_behind_a_failure_and_skips_only_what_needs_it() -> None:
    # Given two parts that fail, one when it is opened, one when it is touched
    log: Log = []
    wiring = diamond(
        left=part("left", "bottom", fails=DatabaseError("there is no table")),
        right=part("right", "bottom", touch_fails=ValueError("not so")),
    )
    # When all is checked
    findings = {finding.part: finding for finding in await wiring.check(Role.ALL, log)}
    # Then both are told, and what stands on them was not tried
    assert {name: finding.outcome for name, finding in findings.items()} == {
        "bottom": Outcome.OK,
        "left": Outcome.FAILED,
        "right": Outcome.FAILED,
        "top": Outcome.SKIPPED,
    }
    assert findings["top"].detail == "needs left, right"
    assert findings["left"].detail == "there is no table"
    assert findings["left"].chains == (("result-store run", "top", "left"),)
    assert findings["right"].detail == "ValueError: not so"
    assert findings["right"].to_json()["variables"] == ["SET_RIGHT"]
    assert findings["bottom"].chains == (
        ("result-store run", "top", "left", "bottom"),
        ("result-store run", "top", "right", "bottom"),
    )
    # And what was opened is closed
    assert {one[1:] for one in log if one[0] == "-"} == {"bottom", "right"}


async def test_an_error_of_our_own_making_is_not_dressed_up_as_a_missing_part() -> None:
    with pytest.raises(KeyError):
        async with diamond(left=part("left", fails=KeyError("bug"))).built(Role.ALL, []):
            pass


@pytest.mark.parametrize(
    "make,error",
    [
        (lambda: Wiring([part("one", "other")], {}), ValueError),
        (lambda: Wiring([part("one")], {Role.ALL: ("other",)}), ValueError),
        (lambda: Wiring([part("one", "two"), part("two", "one")], {}), CycleError),
    ],
    ids=["a part without its need", "a role without its part", "a circle"],
)
def test_a_wiring_that_cannot_hold_is_refused_when_it_is_made(
    make: Callable[[], AbstractAsyncContextManager[None]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        make()


@given(edges=st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6))))
def test_any_wiring_without_circles_has_each_part_once_behind_its_needs_and_on_every_chain(
    edges: set[tuple[int, int]],
) -> None:
    needs = {n: tuple(sorted(str(low) for high, low in edges if high == n and low < n)) for n in range(7)}
    wiring = Wiring([part(str(n), *needs[n]) for n in needs], {Role.ALL: ("6",)})
    order = [one.name for one in wiring.order(Role.ALL)]
    assert len(order) == len(set(order))
    for place, name in enumerate(order):
        assert set(needs[int(name)]) <= set(order[:place])
        chains = wiring.chains(Role.ALL, name)
        assert chains
        for chain in chains:
            assert chain[0] == "result-store run"
            assert chain[-1] == name
            assert all(below in needs[int(above)] for above, below in pairwise(chain[1:]))

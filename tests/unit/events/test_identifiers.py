from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid1, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_events.identifiers import derive_correlation_id, new_event_id, timestamp_of

# Hypothesis wants its bounds naive and adds the zone itself.
TIMES = st.datetimes(datetime(1970, 1, 2), datetime(9999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def test_a_new_id_carries_the_time_it_was_made() -> None:
    before = datetime.now(tz=UTC)
    carried = timestamp_of(new_event_id())
    after = datetime.now(tz=UTC)
    assert carried is not None
    assert before - timedelta(milliseconds=2) <= carried <= after + timedelta(milliseconds=2)


@pytest.mark.parametrize("event_id", [uuid4(), uuid1(), UUID(int=0)], ids=["v4", "v1", "nil"])
def test_other_ids_carry_no_time(event_id: UUID) -> None:
    assert timestamp_of(event_id) is None


def test_an_id_beyond_the_calendar_carries_no_time() -> None:
    assert timestamp_of(UUID(int=(0xFFFFFFFFFFFF << 80) | (7 << 76) | (2 << 62))) is None


@given(st.lists(st.text(), min_size=1), TIMES)
def test_a_derived_id_is_a_version_7_that_carries_its_time(parts: list[str], time: datetime) -> None:
    derived = derive_correlation_id(*parts, time=time)
    carried = timestamp_of(derived)
    assert derived.version == 7
    assert carried is not None
    assert abs(carried - time) < timedelta(milliseconds=2)
    assert derived == derive_correlation_id(*parts, time=time)


@given(st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1), TIMES)
def test_other_parts_give_another_id(one: list[str], other: list[str], time: datetime) -> None:
    same = derive_correlation_id(*one, time=time) == derive_correlation_id(*other, time=time)
    assert same == (one == other)


def test_where_the_parts_are_cut_matters() -> None:
    time = datetime(2026, 1, 1, tzinfo=UTC)
    assert derive_correlation_id("a", "bc", time=time) != derive_correlation_id("ab", "c", time=time)


@pytest.mark.parametrize(
    "parts,time,derived",
    [
        (("dag", "task"), datetime(2026, 1, 1, tzinfo=UTC), "019b76da-a800-79cf-a129-c10e2bbf6c43"),
        (("dag", "t\u00e4sk", ""), datetime(1970, 1, 1, tzinfo=UTC), "00000000-0000-7ecf-b389-f552b002c94a"),
    ],
    ids=["now", "1970"],
)
def test_a_derived_id_stays_the_same_over_versions_of_this_package(
    parts: tuple[str, ...], time: datetime, derived: str
) -> None:
    # A task that is retried after an upgrade must find the work that it asked for before.
    assert derive_correlation_id(*parts, time=time) == UUID(derived)


@pytest.mark.parametrize(
    "time",
    [datetime(2026, 1, 1), datetime(1960, 1, 1, tzinfo=UTC)],  # noqa: DTZ001 - it is to be refused
    ids=["naive", "before 1970"],
)
def test_a_time_that_an_id_cannot_hold_is_refused(time: datetime) -> None:
    with pytest.raises(ValueError, match=r"^derive_correlation_id .* time"):
        derive_correlation_id("a", time=time)

"""The property that all else rests on: rows do not depend on how messages came."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from result_store.facts import Fact
from tests.unit.store.database.fact_strategies import histories
from tests.unit.store.database.same_rows import any_order_makes_the_same_rows
from tests.unit.store.database.stored import Stored


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    with Stored.in_(f"sqlite:///{tmp_path_factory.mktemp('store')}/rows.db") as stored:
        yield stored


@settings(max_examples=60)
@given(history=histories())
def test_any_order_any_duplication_and_any_batches_make_the_same_rows(
    stored: Stored, history: tuple[list[Fact], list[list[Fact]]]
) -> None:
    any_order_makes_the_same_rows(stored, *history)

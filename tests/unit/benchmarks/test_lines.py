"""What tells a straight line from a bent one."""

from __future__ import annotations

import math

import pytest

from benchmarks.lines import growth, straightness

X = [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 50_000.0]


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5, 2.0])
def test_growth_is_the_exponent_whatever_the_fixed_cost(exponent: float) -> None:
    assert growth(X, [3.0 + 0.001 * (x - X[0]) ** exponent for x in X]) == pytest.approx(exponent)


def test_growth_minds_no_noise_where_nothing_has_grown_yet() -> None:
    assert growth(X, [1.0, 0.9, 1.1, 1.0, 11.0, 51.0]) == pytest.approx(1.0, abs=0.01)


def test_growth_is_a_number_even_where_cost_falls() -> None:
    assert math.isfinite(growth(X, [1.0, 1.0, 1.0, 1.0, 1.0, 0.5]))


def test_a_straight_line_is_met_by_all_its_points() -> None:
    assert straightness(X, [2.0 + 3.0 * x for x in X]) == pytest.approx(1.0)


def test_a_square_is_not_straight() -> None:
    assert straightness(X, [x**2 for x in X]) < 0.98

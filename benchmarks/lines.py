"""Is a curve a straight line? Least squares, so that it is measured and not judged by eye."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["growth", "straightness"]

_FELT = 0.5
"""A point tells of growth where it costs at least half as much again as the first; below, the fixed cost hides it."""


def straightness(x: Sequence[float], y: Sequence[float]) -> float:
    """R² of the straight line through the points, on linear axes: 1 where it meets every one of them."""
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    slope, offset = np.polyfit(xs, ys, 1)
    return float(1 - ((ys - (slope * xs + offset)) ** 2).sum() / ((ys - ys.mean()) ** 2).sum())


def growth(x: Sequence[float], y: Sequence[float]) -> float:
    """The exponent by which cost grows: 1 for a straight line, 2 for a square.

    It is the slope of the added cost on double logarithmic axes, both counted from the first point, so that what the first
    one costs does not flatten it. Points whose cost is hardly above the first one's are left out, but never the last two.
    """
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    added = ys[1:] - ys[0]
    felt = added >= _FELT * ys[0]
    felt[-2:] = True
    # A difference of noise may be negative; its logarithm is not to end the run.
    steps, costs = np.log((xs[1:] - xs[0])[felt]), np.log(np.maximum(added[felt], 1e-9))
    return float(np.polyfit(steps, costs, 1)[0])

"""How the places of some among many are told to people."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["show_indexes"]

_MOST_RANGES = 12


def show_indexes(indexes: Iterable[int]) -> str:
    """Ascending indexes as in ``"0, 4-17, 19"``; beyond a dozen ranges it is cut short."""
    ranges: list[tuple[int, int]] = []
    for index in indexes:
        if ranges and ranges[-1][1] == index - 1:
            ranges[-1] = (ranges[-1][0], index)
        else:
            ranges.append((index, index))
    shown = [f"{first}" if first == last else f"{first}-{last}" for first, last in ranges[:_MOST_RANGES]]
    return ", ".join([*shown, "…"] if len(ranges) > _MOST_RANGES else shown)

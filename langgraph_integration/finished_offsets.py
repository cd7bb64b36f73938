"""Which offsets above a partition's floor are done with, as text that fits beside the floor. Pure.

A bitmap in Base64: bit *n* of it, counted from the lowest bit of the first byte, stands for the offset *n* above the floor.
(Pattern: the offset map of Confluent's Parallel Consumer, which keeps it in the same place.)
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from typing import Final

__all__ = ["FARTHEST", "read_finished", "write_finished"]

FARTHEST: Final = 12_000
"""How far above the floor an offset may lie to be told of: 2,000 characters in all. What lies farther is done again."""


def write_finished(offsets: Collection[int], *, floor: int) -> str:
    """The text; empty where there is nothing to tell."""
    distances = [offset - floor for offset in offsets if 0 <= offset - floor < FARTHEST]
    if not distances:
        return ""
    bits = bytearray(max(distances) // 8 + 1)
    for distance in distances:
        bits[distance // 8] |= 1 << distance % 8
    return base64.b64encode(bits).decode()


def read_finished(text: object, *, floor: int) -> frozenset[int]:
    """The offsets. Never raises: what is no such text tells of none."""
    if not isinstance(text, str) or len(text) > FARTHEST:
        return frozenset()
    try:
        bits = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return frozenset()
    return frozenset(
        floor + place * 8 + bit for place, byte in enumerate(bits) if byte for bit in range(8) if byte >> bit & 1
    )

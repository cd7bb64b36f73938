"""The keys of signatures, as they stand in the settings: ``id:base64key,id2:base64key2``."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

__all__ = ["new_key", "parse_keys"]

_KEY_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SHORTEST: Final = 32
"""Bytes of a key. Fewer than the digest has would weaken it (RFC 2104, section 3)."""


def parse_keys(text: str) -> dict[str, bytes]:
    """The keys by their ids, in order: the first signs, all verify.

    Raises:
        ValueError: the text does not hold; the message says where and shows no key.
    """
    keys: dict[str, bytes] = {}
    for number, entry in enumerate((part.strip() for part in text.split(",")), start=1):
        key_id, _, encoded = entry.partition(":")
        if not encoded or not _KEY_ID.fullmatch(key_id):
            raise ValueError(
                f"key {number} is not id:base64key, where the id is 1 to 64 letters, digits, '.', '_' and '-'"
            )
        if key_id in keys:
            raise ValueError(f"two keys have the id {key_id!r}")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise ValueError(f"key {key_id!r} is not base64 (the alphabet with '+' and '/')") from None
        if len(key) < _SHORTEST:
            raise ValueError(f"key {key_id!r} has {len(key)} bytes; a key has {_SHORTEST} or more")
        keys[key_id] = key
    return keys


def new_key(key_id: str, random: bytes) -> str:
    """An entry of ``KAFKA_SIGNING_KEYS``.

    Args:
        key_id: names the key in the header ``signature-key-id``.
        random: the key, 32 bytes or more from a cryptographic source such as :func:`secrets.token_bytes`.
    """
    return f"{key_id}:{base64.b64encode(random).decode()}"

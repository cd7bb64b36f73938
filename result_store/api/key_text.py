"""What an API key looks like, and how it is told from a wrong one. Pure, but for chance.

A key is ``wfk_{key_id}_{secret}``: the id finds its row, the secret has 256 bits of chance. At rest there is the secret's
SHA-256 alone; a slow hash is for passwords, which can be guessed. The prefix lets scanners find a key that was committed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Final, NamedTuple

__all__ = ["KeyText", "digest", "is_right", "new_key", "parse_key"]

_PREFIX: Final = "wfk"
_ID_BYTES: Final = 8
_SECRET_BYTES: Final = 32
_KEY: Final = re.compile(rf"{_PREFIX}_([0-9a-f]{{{2 * _ID_BYTES}}})_([0-9a-f]{{{2 * _SECRET_BYTES}}})")


class KeyText(NamedTuple):
    """An API key in its parts."""

    key_id: str
    secret: str

    def __str__(self) -> str:
        return f"{_PREFIX}_{self.key_id}_{self.secret}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(key_id={self.key_id!r})"


NOBODY: Final = KeyText("0" * 2 * _ID_BYTES, "")
"""Stands for a key that is none, so that it takes the same way as one that is; no key has this id."""
_NO_HASH: Final = "0" * 64


def new_key() -> KeyText:
    """A key that nobody has."""
    return KeyText(secrets.token_hex(_ID_BYTES), secrets.token_hex(_SECRET_BYTES))


def parse_key(text: str) -> KeyText:
    """A key from what a caller sent; :data:`NOBODY` where it is none."""
    found = _KEY.fullmatch(text)
    return KeyText(*found.groups()) if found else NOBODY


def digest(secret: str) -> str:
    """What is kept of a secret: 64 hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_right(key: KeyText, kept: str | None) -> bool:
    """Whether a key's secret is the one that was kept.

    It takes as long whatever is wrong: a key that nobody has is compared too, with a digest that no secret has.

    Args:
        kept: the digest of the row with the key's id; None: there is no such row.
    """
    same = hmac.compare_digest(digest(key.secret), _NO_HASH if kept is None else kept)
    return same and kept is not None

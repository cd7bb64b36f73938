"""Which distributions are installed, each once, and how the work is cut into chunks."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.metadata import Distribution


class DistributionNotInstalledError(LookupError):
    """No distribution of that name is installed where the audit looks."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no distribution named {name!r} is installed in the environment that runs this audit")


def installed(search_path: Sequence[str] | None = None) -> dict[str, Distribution]:
    """Every distribution on ``search_path`` (default: ``sys.path``) by its normalised name, in alphabetical order.

    Where two folders hold the same distribution the first one counts, as it does for ``import``. A ``.dist-info`` folder whose
    metadata cannot be read is listed under its folder's name: an audit that skips what is broken would not be one.
    """
    found: dict[str, Distribution] = {}
    for distribution in importlib.metadata.distributions(path=_folders(search_path)):
        found.setdefault(key_of(distribution), distribution)
    return dict(sorted(found.items()))


def find(name: str, search_path: Sequence[str] | None = None) -> Distribution:
    """The installed distribution ``name``, in any spelling (PEP 503).

    Raises:
        DistributionNotInstalledError: there is none.
    """
    key = canonicalize_name(name)
    for distribution in importlib.metadata.distributions(name=name, path=_folders(search_path)):
        if key_of(distribution) == key:
            return distribution
    # The lookup by name goes by the folder's name; the metadata inside may be spelled otherwise, or be broken.
    distribution_or_none = installed(search_path).get(key)
    if distribution_or_none is None:
        raise DistributionNotInstalledError(name)
    return distribution_or_none


def key_of(distribution: Distribution) -> str:
    """The normalised name: from the metadata, or from the folder where the metadata does not say."""
    return canonicalize_name(declared_name(distribution) or folder_name(distribution))


def declared_name(distribution: Distribution) -> str | None:
    """The ``Name`` field as its author wrote it, or None where the metadata is missing or cannot be read."""
    try:
        name = distribution.metadata["Name"]
    except Exception:  # noqa: BLE001 - TypeError, KeyError, UnicodeDecodeError: it differs by Python release
        return None
    # The type says str; a missing field is None up to Python 3.14.
    return str(name or "").strip() or None


def folder_name(distribution: Distribution) -> str:
    """The name part of ``name-version.dist-info``."""
    path = getattr(
        distribution, "_path", None
    )  # there is no public way to a distribution that cannot tell its own name
    stem = getattr(path, "stem", None) or "unnamed"
    return str(stem).split("-")[0]


def _folders(search_path: Sequence[str] | None) -> list[str]:
    return sys.path if search_path is None else list(search_path)


def chunked(names: Sequence[str], chunks: int) -> list[list[str]]:
    """``names`` dealt out to at most ``chunks`` lists, whose lengths differ by one at the most; none is empty.

    Dealt out like cards and not cut in runs: the neighbours in an alphabet resemble each other (``opentelemetry-*``), and a chunk
    of only large ones would finish last.

    Raises:
        ValueError: ``chunks`` is less than one.
    """
    if chunks < 1:
        message = f"chunks must be at least 1, not {chunks}"
        raise ValueError(message)
    return [list(names[start::chunks]) for start in range(min(chunks, len(names)))]

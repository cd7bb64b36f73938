"""Who looks at the page, what they may open, and where they may be sent back to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from result_store.records import EVERYBODY, Scope

__all__ = ["HOME", "Tab", "Viewer", "local_path", "tabs_of"]

HOME: Final = "/"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks.

    Attributes:
        name: what to call them; no secret.
        signed_in: whether they can sign out.
    """

    name: str
    scope: Scope
    signed_in: bool

    @property
    def sees_everybody(self) -> bool:
        """Whether what belongs to nobody, such as an unreadable message or a sum over all users, is theirs to see."""
        return self.scope == EVERYBODY


class Tab(NamedTuple):
    """An entry of the menu; its icon has its name."""

    name: str
    title: str
    href: str


_TABS: Final = (Tab("flight", "In flight", HOME), Tab("runs", "Runs", "/runs"), Tab("batches", "Batches", "/batches"))
_TABS_OF_ALL: Final = (Tab("letters", "Given up", "/dead-letters"), Tab("charts", "Charts", "/charts"))


def tabs_of(viewer: Viewer | None) -> tuple[Tab, ...]:
    """The menu of a viewer; nobody has none."""
    if viewer is None:
        return ()
    return _TABS + _TABS_OF_ALL if viewer.sees_everybody else _TABS


def local_path(text: str | None) -> str:
    """Where to go after a sign-in: a path of this page. What leads elsewhere, or may be read so by a browser, is the first page.

    Browsers take two slashes, or a slash and a backslash, for another host, and drop control characters before they look.
    """
    if not text or not text.startswith("/") or "\\" in text or not text.isprintable():
        return HOME
    try:
        parts = urlsplit(text)
    except ValueError:
        return HOME
    return HOME if parts.scheme or parts.netloc or text.startswith("//") else text

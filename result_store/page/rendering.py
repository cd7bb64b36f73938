"""How a page is written: its templates, and the headers that it is sent with.

Every value is escaped by Jinja (``autoescape``), and no filter or template marks one as safe. Should a value get through
nevertheless, the policy lets no script, style, form or frame run that is not a file of this folder.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from result_store.page import words
from result_store.page.states import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HEADERS", "asset", "asset_names", "environment", "page"]

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # What a run says is for whom it was shown to, and changes by the second.
    "Cache-Control": "no-store",
}
"""On every page."""

_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@cache
def _assets() -> Mapping[str, bytes]:
    folder = files("result_store.page") / "assets"
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.name.rpartition(".")[2] in _TYPES}


def asset_names() -> frozenset[str]:
    """The files that the pages refer to."""
    return frozenset(_assets())


def asset_path(name: str) -> str:
    """Where a file is served; its digest is part of the address, so a browser may keep it and still never has an old one.

    Raises:
        KeyError: there is none of that name.
    """
    return f"/assets/{hashlib.sha256(_assets()[name]).hexdigest()[:16]}/{name}"


def asset(name: str) -> Response | None:
    """A file that the pages refer to; None where there is none of that name."""
    body = _assets().get(name)
    if body is None:
        return None
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        # A picture may hold a script of its own; opened by itself it must not run.
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    }
    return Response(body, media_type=_TYPES[name.rpartition(".")[2]], headers=headers)


@cache
def environment() -> Environment:
    """The templates' environment. A name that a template misspells is an error, not an empty place."""
    made = Environment(
        loader=PackageLoader("result_store.page", "templates"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        {
            "clock": words.clock,
            "count": words.count,
            "duration": words.duration,
            "moment": words.moment,
            "money": words.money,
            "percent": words.percent,
            "pretty": words.pretty,
            "shown": words.shown_text,
            "size": words.size,
            "span": words.span,
            "shortened": _shortened,
        }
    )
    made.globals.update({"asset": asset_path, "meanings": MEANINGS})
    return made


def page(template: str, values: Mapping[str, Any], *, status: int = 200) -> HTMLResponse:
    """A page with its headers.

    Args:
        template: a file's name in the folder ``templates``.
    """
    body = environment().get_template(template).render(**values)
    return HTMLResponse(body, status_code=status, headers=HEADERS)


def _shortened(text: str, most: int = 160) -> str:
    """A text's beginning, on one line."""
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most and len(text) <= 4 * most else f"{line[:most].rstrip()}…"

"""The documentation's tables, out of the committed figures.

The page is written by hand but for what stands between two markers::

    <!-- measured: latency -->
    <!-- end of measured -->

There the figures of a suite are put, or under ``surroundings`` what they were taken on, or under ``targets`` everything
that was promised. A test has the page be what the figures render to, so that neither changes without the other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from benchmarks.suites import SUITE
from benchmarks.tables import Sheet, broker_name, in_markdown, sheets

if TYPE_CHECKING:
    from benchmarks.measuring import Figure
    from benchmarks.results import Results

__all__ = ["render"]

_BLOCK = re.compile(r"(<!-- measured: (?P<name>[\w-]+) -->\n).*?(<!-- end of measured -->)", flags=re.DOTALL)


def render(page: str, results: Results) -> str:
    """The page with all blocks made anew.

    Raises:
        ValueError: a block has a name that nothing goes by.
    """

    def made(block: re.Match[str]) -> str:
        text = _text(block["name"], results)
        return block[1] + (f"\n{text}\n\n" if text else "") + block[3]

    return _BLOCK.sub(made, page)


def _text(name: str, results: Results) -> str:
    if name == "surroundings":
        return "\n\n".join(map(in_markdown, _surroundings(results)))
    if name == "targets":
        return _targets(results)
    if name not in SUITE:
        raise ValueError(f"no suite is called {name!r}; a block is one of surroundings, targets, {', '.join(SUITE)}")
    measured = results.of(name)
    if not measured:
        return ""
    sources = dict.fromkeys((one.figure.broker, one.session) for one in measured)
    lines = [f"{broker_name(broker)}: {_source(results.sessions[session])}" for broker, session in sources]
    tables = [in_markdown(sheet) for sheet in sheets(one.figure for one in measured)]
    return "\n\n".join([*tables, "<small>" + "<br>\n".join(lines) + "</small>"])


def _source(session: dict[str, Any]) -> str:
    scale = session["scale"]
    size = "full size" if scale == 1 else f"**scale {scale:g}, so the sizes are not those that the targets are for**"
    commit = session["commit"] or "unknown"
    return f"{session['date'][:10]}, commit {commit}, {session['runs']} counted runs, {size}."


def _targets(results: Results) -> str:
    promised: list[Figure] = [one.figure for one in results.measured if one.figure.target]
    small = [one.suite for one in results.measured if results.sessions[one.session]["scale"] != 1]
    warning = [f"Of a smaller scale than the targets are for: {', '.join(dict.fromkeys(small))}."] if small else []
    return "\n\n".join([*warning, *map(in_markdown, sheets(promised))])


def _surroundings(results: Results) -> list[Sheet]:
    facts: dict[str, dict[str, None]] = {}
    for session in results.sessions.values():
        machine = session["machine"]
        told = {
            "processor": f"{machine['cpu']}, {machine['cores']} cores",
            "memory": f"{machine['memory_gib']:g} GiB",
            "system": machine["system"],
            **session["versions"],
        }
        for name, value in told.items():
            facts.setdefault(name, {})[value] = None
    rows = [[name, "; ".join(values)] for name, values in facts.items()]
    return [Sheet("", ("measured on", ""), rows)] if rows else []

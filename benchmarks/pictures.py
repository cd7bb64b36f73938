"""The curves as PNG, one picture for each curve, in light and in dark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from benchmarks.series import ONE_EACH, OURS, RAW, Series, all_series, curves_in, fingerprint, measures_in
from benchmarks.tables import broker_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.results import Results

__all__ = ["draw_all", "drawn_from"]

_NOTE = "Drawn from"
_COLOURS = 48
_STRAIGHT = "CPU, s"
"""Shown on linear axes too, where a straight line looks like one."""
_DASHES: dict[str, Literal["-", "--"]] = {"apache": "-", "embedded": "--"}
_MARKERS = {"apache": "o", "embedded": "s"}


@dataclass(frozen=True, slots=True)
class _Theme:
    name: str
    ground: str
    ink: str
    grid: str
    colours: dict[str, str]


_THEMES = (
    _Theme("light", "#ffffff", "#24292f", "#d8dee4", {OURS: "#0b62d6", RAW: "#6e7781", ONE_EACH: "#c4500c"}),
    _Theme("dark", "#1e2129", "#d6dae3", "#3a3f4b", {OURS: "#6cb0ff", RAW: "#9aa3b2", ONE_EACH: "#ff9d5c"}),
)


def draw_all(results: Results, folder: Path) -> list[Path]:
    """Draw every curve into files, each of which says what figures it was drawn from; where they are."""
    lines, note = all_series(results), fingerprint(results)
    written = []
    for curve in curves_in(lines):
        for theme in _THEMES:
            path = folder / f"{curve}-{theme.name}.png"
            with rc_context(_style(theme)):
                picture = _draw(curve, [line for line in lines if line.curve == curve], theme)
                _save(picture, path, note)
            written.append(path)
    return written


def drawn_from(path: Path) -> str:
    """The fingerprint of the figures that a picture was drawn from."""
    with Image.open(path) as image:
        return str(image.info.get(_NOTE, ""))


def _save(picture: Figure, path: Path, note: str) -> None:
    drawn = BytesIO()
    picture.savefig(drawn, dpi=100)
    about = PngInfo()
    about.add_text(_NOTE, note)
    with Image.open(drawn) as image:
        # Few colours make a small file, and these have few.
        image.convert("RGB").quantize(_COLOURS).save(path, optimize=True, pnginfo=about)


def _draw(curve: str, lines: list[Series], theme: _Theme) -> Figure:
    picture = Figure(figsize=(11, 6.4), layout="constrained")
    grid = picture.subplots(2, 3)
    panels = iter(grid.flat)
    for label, shown in measures_in(lines).items():
        if label == _STRAIGHT:
            _fill_linear(next(panels), curve, shown, theme)
        _fill(next(panels), curve, label, shown, theme)
    legend = next(panels)
    legend.axis("off")
    legend.legend(handles=list(_legend(lines, theme)), loc="center", frameon=False, fontsize="medium")
    for unused in panels:
        unused.axis("off")
    return picture


def _fill(panel: Axes, curve: str, label: str, lines: list[Series], theme: _Theme) -> None:
    for line in lines:
        _plot(panel, line, theme, _DASHES.get(line.broker, ":"))
    panel.set_xscale("log")
    panel.set_yscale("log")
    if lines[0].unit == "count":
        # Between 4 and 5 lies no abyss.
        panel.set_ylim(1, 2 * max(10, *(max(line.high) for line in lines)))
    panel.set_title(label)
    panel.set_xlabel(curve)
    panel.grid(visible=True)


def _fill_linear(panel: Axes, curve: str, lines: Iterable[Series], theme: _Theme) -> None:
    for line in lines:
        if line.who == ONE_EACH:
            continue
        _plot(panel, line, theme, "")
        slope, offset = np.polyfit(line.x, line.y, 1)
        ends = np.array([min(line.x), max(line.x)])
        dashes = _DASHES.get(line.broker, ":")
        panel.plot(ends, slope * ends + offset, dashes, color=theme.colours[line.who], linewidth=1)
    panel.set_title(f"{_STRAIGHT}, linear axes and fitted lines")
    panel.set_xlabel(curve)
    panel.set_ylim(bottom=0)
    panel.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    panel.locator_params(axis="x", nbins=4)
    panel.grid(visible=True)


def _plot(panel: Axes, line: Series, theme: _Theme, dashes: str) -> None:
    reach = (np.subtract(line.y, line.low), np.subtract(line.high, line.y))
    marker = _MARKERS.get(line.broker, "x")
    panel.errorbar(
        line.x, line.y, yerr=reach, fmt=marker + dashes, color=theme.colours[line.who], markersize=4, linewidth=1.2
    )


def _legend(lines: list[Series], theme: _Theme) -> Iterator[Line2D]:
    for who in dict.fromkeys(line.who for line in lines):
        yield Line2D([], [], color=theme.colours[who], linewidth=3, label=who)
    for broker in dict.fromkeys(line.broker for line in lines):
        yield Line2D(
            [],
            [],
            color=theme.ink,
            linestyle=_DASHES.get(broker, ":"),
            marker=_MARKERS.get(broker, "x"),
            label=broker_name(broker),
        )


def _style(theme: _Theme) -> Any:
    inks = ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color", "axes.edgecolor")
    grounds = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
    return {
        **dict.fromkeys(inks, theme.ink),
        **dict.fromkeys(grounds, theme.ground),
        "grid.color": theme.grid,
        "grid.linewidth": 0.6,
        "axes.titlesize": "medium",
        "font.size": 9,
    }

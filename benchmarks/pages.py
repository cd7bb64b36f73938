"""The curves as interactive pages, for the documentation's site. They read plotly.js from beside themselves."""

from __future__ import annotations

from importlib.resources import files
from math import log10
from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from benchmarks.series import ONE_EACH, OURS, RAW, Series, all_series, curves_in, measures_in
from benchmarks.tables import broker_name

if TYPE_CHECKING:
    from benchmarks.results import Results

__all__ = ["SCRIPT", "pages", "script"]

SCRIPT = "plotly.min.js"

# Of middling lightness: they stand out from a light ground and from a dark one.
_COLOURS = {OURS: "#2f81f7", RAW: "#8b949e", ONE_EACH: "#e0701f"}
_DASHES = {"apache": "solid", "embedded": "dash"}

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<script src="{script}"></script>
<style>
body {{ margin: 0; font-family: sans-serif; background: Canvas; color: CanvasText; }}
</style>
</head>
<body>
{plot}
<script>
const plot = document.querySelector(".plotly-graph-div");
const dark = matchMedia("(prefers-color-scheme: dark)");
function colour() {{
  const ink = dark.matches ? "#d6dae3" : "#24292f", grid = dark.matches ? "#3a3f4b" : "#d8dee4";
  const change = {{"font.color": ink}};
  for (const axis of Object.keys(plot.layout).filter(name => /^[xy]axis/.test(name))) {{
    change[axis + ".gridcolor"] = grid;
    change[axis + ".linecolor"] = grid;
  }}
  Plotly.relayout(plot, change);
}}
dark.addEventListener("change", colour);
colour();
</script>
</body>
</html>
"""


def script() -> str:
    """The program that the pages need, as the plotly package ships it."""
    return files("plotly").joinpath("package_data", SCRIPT).read_text(encoding="utf-8")


def pages(results: Results) -> dict[str, str]:
    """The pages by file name, one for each curve."""
    lines = all_series(results)
    return {
        f"{curve}.html": _page(curve, [line for line in lines if line.curve == curve]) for curve in curves_in(lines)
    }


def _page(curve: str, lines: list[Series]) -> str:
    panels = measures_in(lines)
    figure = make_subplots(rows=2, cols=2, subplot_titles=list(panels), vertical_spacing=0.12, horizontal_spacing=0.07)
    for number, shown in enumerate(panels.values()):
        for line in shown:
            figure.add_trace(_trace(line, legend=number == 0), row=number // 2 + 1, col=number % 2 + 1)
        if shown[0].unit == "count":
            highest = max(max(line.high) for line in shown)
            figure.update_yaxes(range=[0, log10(2 * max(10, highest))], row=number // 2 + 1, col=number % 2 + 1)
    figure.update_xaxes(type="log", dtick=1, title={"text": curve, "standoff": 5})
    figure.update_yaxes(type="log", dtick=1)
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        height=820,
        margin={"t": 60, "l": 60, "r": 20, "b": 120},
        legend={"orientation": "h", "y": -0.1, "yanchor": "top"},
    )
    plot = figure.to_html(full_html=False, include_plotlyjs=False, div_id=curve, config={"displaylogo": False})
    return _PAGE.format(title=f"What it costs to serve, by {curve}", script=SCRIPT, plot=plot)


def _trace(line: Series, *, legend: bool) -> go.Scatter:
    name = f"{line.who}, {broker_name(line.broker)}"
    above = [high - y for high, y in zip(line.high, line.y, strict=True)]
    below = [y - low for low, y in zip(line.low, line.y, strict=True)]
    return go.Scatter(
        x=line.x,
        y=line.y,
        error_y={"type": "data", "array": above, "arrayminus": below, "symmetric": False, "thickness": 1},
        name=name,
        legendgroup=name,
        showlegend=legend,
        mode="lines+markers",
        line={"color": _COLOURS[line.who], "dash": _DASHES.get(line.broker, "dot")},
    )

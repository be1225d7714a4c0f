"""Drawings for a light and a dark page, as data URIs."""

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from report.comparison_chart import THEMES

# Of what is real, what is synthetic, and of no group.
COLOURS = {
    "light": {
        "real": "#a86400",
        "synthetic": "#005b8f",
        "third": "#00684a",
        "fourth": "#7b4ab5",
        "fifth": "#b0305c",
    },
    "dark": {
        "real": "#e69f00",
        "synthetic": "#6cbdf0",
        "third": "#5fd0a5",
        "fourth": "#b79be0",
        "fifth": "#f28cab",
    },
}
Draw = Callable[[Any, Mapping[str, str]], None]


@dataclass(frozen=True)
class Drawing:
    """One drawing in both themes, what is to be seen in words, and whether it is about square."""

    title: str
    light: str
    dark: str
    alt: str
    narrow: bool = False


def drawing(title: str, draw: Draw, alt: str, *, size: tuple[float, float]) -> Drawing:
    """Let ``draw`` fill axes, given the colours of a theme, once for each.

    Parameters
    ----------
    size
        Width and height in inches.
    """
    themes = (drawn(draw, theme=theme, size=size, kind="svg") for theme in ("light", "dark"))
    uris = ("data:image/svg+xml;base64," + base64.b64encode(x).decode() for x in themes)
    return Drawing(title, *uris, alt, size[0] < 5)


def drawn(draw: Draw, *, theme: str, size: tuple[float, float], kind: str) -> bytes:
    """The drawing as a file of this kind ("svg" or "png"), the same for the same data."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    colours = {**THEMES[theme], **COLOURS[theme]}
    with mpl.rc_context({"svg.hashsalt": "syncytium", "font.size": 10}):
        figure = Figure(figsize=size, dpi=200, facecolor=colours["ground"], layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot(facecolor=colours["ground"])
        axes.tick_params(colors=colours["soft"], length=0)
        axes.grid(color=colours["line"], linewidth=0.8)
        axes.set_axisbelow(True)
        for side in axes.spines.values():
            side.set_visible(False)
        draw(axes, colours)
        written = io.BytesIO()
        about = {"Date": None} if kind == "svg" else None
        figure.savefig(written, format=kind, facecolor=colours["ground"], metadata=about)
    return written.getvalue()


def legend(axes: Any, colours: Mapping[str, str], **where: Any) -> None:
    """A legend in the page's ink, without a frame."""
    made = axes.legend(frameon=False, fontsize=9, **where)
    for text in made.get_texts():
        text.set_color(colours["ink"])

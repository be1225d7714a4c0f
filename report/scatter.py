"""Cells as dots: a small PNG, and where the groups' names go on it."""

import base64
import io
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

# Units of the drawing that lies over the picture and holds the names.
WIDTH, HEIGHT = 450, 360
TEXT_HEIGHT, LETTER = 14.0, 9.0
LONGEST = 20
MARGIN = 0.06
# Cells so near the densest place are of one cloud with it.
NEAR = 45.0


class Label(NamedTuple):
    """A name on the picture, centred at x, y."""

    x: float
    y: float
    text: str


def scaled(layout: np.ndarray) -> np.ndarray:
    """Coordinates in the drawing's units, y downwards, within its margins."""
    low, high = layout.min(axis=0), layout.max(axis=0)
    unit = (layout - low) / np.where(high > low, high - low, 1.0)
    unit = np.where(high > low, unit, 0.5)
    inside = MARGIN + (1 - 2 * MARGIN) * unit
    return np.column_stack([inside[:, 0] * WIDTH, (1 - inside[:, 1]) * HEIGHT])


def dots(points: np.ndarray, colours: np.ndarray, seed: int) -> str:
    """A PNG of dots on a transparent ground, as a data URI.

    Parameters
    ----------
    points
        (n_cells, 2) in the drawing's units.
    colours
        (n_cells,) "#rrggbb".
    seed
        Of the order in which dots are drawn: no group lies above the others.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    order = np.random.default_rng(seed).permutation(len(points))
    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=200)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(HEIGHT, 0)
    size = float(np.clip(9000 / max(len(points), 1), 2.0, 24.0))
    axes.scatter(*points[order].T, s=size, c=list(colours[order]), alpha=0.75, linewidths=0)
    drawn, written = io.BytesIO(), io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(drawn, format="png", transparent=True)
    with Image.open(drawn) as image:
        # A quarter of the bytes, and no difference to be seen.
        small = image.convert("RGBA").quantize(128, method=Image.Quantize.FASTOCTREE)
        small.save(written, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()


def labels(points: np.ndarray, groups: np.ndarray, texts: Mapping[str, str]) -> list[Label]:
    """Each group's text above the densest place of its cells, moved where it would cover another.

    ``texts`` by group, in the order of their claim to a place; one without cells is left out.
    """
    placed: list[Label] = []
    for name, text in texts.items():
        own = points[groups == name]
        if len(own):
            text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
            placed.append(_free(*_above_densest(own), text, placed))
    return placed


def _above_densest(points: np.ndarray) -> tuple[float, float]:
    counts, x_edges, y_edges = np.histogram2d(
        *points.T, bins=(15, 12), range=((0, WIDTH), (0, HEIGHT))
    )
    x, y = np.unravel_index(counts.argmax(), counts.shape)
    inside = (
        (points[:, 0] >= x_edges[x])
        & (points[:, 0] <= x_edges[x + 1])
        & (points[:, 1] >= y_edges[y])
        & (points[:, 1] <= y_edges[y + 1])
    )
    centre = np.median(points[inside], axis=0)
    near = points[np.linalg.norm(points - centre, axis=1) < NEAR]
    # A few stray dots do not lift the name off its cells.
    return float(centre[0]), float(np.quantile(near[:, 1], 0.02)) - 4


def _free(x: float, y: float, text: str, placed: list[Label]) -> Label:
    half = LETTER * len(text) / 2
    x = min(max(x, half + 2), WIDTH - half - 2)
    steps = [sign * step * 3.0 for step in range(60) for sign in (1, -1)]
    for dy in steps:
        at = y + dy
        if TEXT_HEIGHT <= at <= HEIGHT - 4 and not any(
            abs(at - other.y) < TEXT_HEIGHT
            and abs(x - other.x) < half + LETTER * len(other.text) / 2
            for other in placed
        ):
            return Label(round(x, 1), round(at, 1), text)
    return Label(round(x, 1), round(y, 1), text)

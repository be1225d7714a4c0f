"""UMAPs before and after correction, coloured by what the cells belong to."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from report import palette, scatter
from report.evaluation import BEFORE, principal_components
from report.run_evaluation import Gathered
from report.traffic import natural
from report.umap_layout import SETTINGS, umap_layout

# A layout of so many takes two seconds; of all cells of a large run it would take many minutes.
SHOWN = 4000
N_PCS = 20
UNLABELLED = "without a type"
# So many groups get a colour of their own where their names do not stand on the picture.
COLOURED = 8
_TITLES = {BEFORE: "Before"}
# So many names fit on a picture; of more there are numbers.
NAMED = 10


@dataclass(frozen=True)
class Group:
    """An entry of a legend: a name, its colour, how many of the cells shown it has.

    ``mark`` stands on the picture in the place of a name where there are many.
    """

    name: str
    colour: str
    n_cells: int
    mark: str = ""


@dataclass(frozen=True)
class Picture:
    """One UMAP: a PNG as a data URI, the names on it, and what is to be seen in words."""

    title: str
    png: str
    labels: list[scatter.Label]
    alt: str


@dataclass(frozen=True)
class Row:
    """The same colours before and after."""

    heading: str
    legend: list[Group]
    pictures: list[Picture]


@dataclass(frozen=True)
class Pictures:
    """All rows, of ``n_shown`` of ``n_cells`` cells, made in ``seconds``; how, in words."""

    rows: list[Row]
    n_shown: int
    n_cells: int
    seconds: float
    settings: str


def make_pictures(
    cells: Gathered,
    n_cells: int,
    groups: Mapping[str, np.ndarray],
    *,
    named: Sequence[str],
    seen: Mapping[str, Mapping[str, str]],
    seed: int = 0,
) -> Pictures:
    """Draw the cells.

    Parameters
    ----------
    cells
        Those that are shown.
    n_cells
        How many there are in all.
    groups
        (n_shown,) names by what the pictures are coloured by: {"site": …, "cell type": …}.
    named
        Of these, what stands on the picture by name.
    seen
        What the scores say, by group and by matrix ("uncorrected", "decoded"), for the text
        alternatives.
    seed
        Of components and layout.
    """
    start = time.perf_counter()
    matrices = {BEFORE: cells.before, **cells.after}
    points = {}
    for name, parts in matrices.items():
        components = principal_components(np.concatenate(parts), N_PCS, seed)
        points[name] = scatter.scaled(umap_layout(components, seed))
    rows = [
        coloured(
            by,
            values,
            {_TITLES.get(matrix, f"After: {matrix}"): at for matrix, at in points.items()},
            named=by in named,
            seen={
                _TITLES.get(matrix, f"After: {matrix}"): text
                for matrix, text in seen.get(by, {}).items()
            },
            seed=seed,
        )
        for by, values in groups.items()
    ]
    seconds = time.perf_counter() - start
    n_shown = len(next(iter(points.values())))
    settings = f"Up to {N_PCS} principal components of each matrix; {SETTINGS}; seed {seed}"
    return Pictures(rows, n_shown, n_cells, seconds, settings)


def coloured(
    by: str,
    values: np.ndarray,
    points: Mapping[str, np.ndarray],
    *,
    named: bool,
    seed: int,
    seen: Mapping[str, str] = MappingProxyType({}),
    colours: Mapping[str, str] | None = None,
    rest: str = UNLABELLED,
) -> Row:
    """Pictures of the same cells in the same colours.

    Parameters
    ----------
    by
        What the colours are of.
    values
        (n_cells,) names, None where a cell has none, which is told as ``rest``.
    points
        (n_cells, 2) by the picture's title.
    named
        Whether the names stand on the pictures.
    seen
        What else is to be said of a picture, by its title.
    colours
        By name; None chooses them.
    """
    values = np.array([rest if v is None else str(v) for v in values], dtype=object)
    counts = Counter(values.tolist())
    names = sorted(counts, key=natural)
    largest = [name for name, _ in counts.most_common() if name != rest]
    chosen = names if named else largest[:COLOURED]
    chosen = [name for name in names if name in chosen and name != rest]
    colour = colours or palette.colours(chosen)
    many = named and len(chosen) > NAMED
    marks = {name: str(i) if many else "" for i, name in enumerate(chosen, start=1)}
    legend = [Group(name, colour[name], counts[name], marks[name]) for name in chosen]
    texts = {name: marks[name] or name for name in largest if named}
    if others := [name for name in names if name not in colour and name != rest]:
        what = f"{len(others)} other {by}s"
        legend.append(Group(what, palette.OTHERS, sum(counts[name] for name in others)))
    if rest in counts:
        legend.append(Group(rest, palette.OTHERS, counts[rest]))
    of_cells = np.array([colour.get(name, palette.OTHERS) for name in values], dtype=object)
    pictures = []
    for title, at in points.items():
        pictures.append(
            Picture(
                title,
                scatter.dots(at, of_cells, seed),
                scatter.labels(at, values, texts),
                _alt(title, by, legend, len(values), seen.get(title, "")),
            )
        )
    return Row(f"Coloured by {by}", legend, pictures)


def _alt(title: str, by: str, legend: Sequence[Group], n_cells: int, seen: str) -> str:
    told = [f"{group.name} {group.n_cells:,}" for group in legend[:12]]
    if len(legend) > 12:
        told.append(f"and {len(legend) - 12} more")
    text = f"{title}: UMAP of {n_cells:,} cells coloured by {by} ({', '.join(told)})."
    return f"{text} {seen}".strip()


def seen_by_scores(evaluation: Mapping[str, Any] | None) -> dict[str, dict[str, str]]:
    """What the scores say about pictures by site and by cell type, by matrix."""
    if evaluation is None:
        return {}
    shown = {"site": "mixing", "cell type": "types"}
    return {
        by: {
            matrix: " ".join(
                f"{metric['title']}: {scores[name]['value']:.2f} of 1."
                for name, metric in evaluation["metrics"].items()
                if metric["group"] == group and scores[name]["value"] is not None
            )
            for matrix, scores in evaluation["overall"].items()
        }
        for by, group in shown.items()
    }

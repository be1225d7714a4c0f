"""UMAPs of a site's labelled cells: by answer, by confidence, and by own label if there is one."""

import itertools
import time

import numpy as np

from common.classification.vocabulary import UNKNOWN
from report import palette, scatter
from report.answered_cells import AnsweredCells
from report.evaluation import principal_components
from report.pictures import N_PCS, SHOWN, Pictures, Row, coloured
from report.run_evaluation import scaled_rows
from report.traffic import natural
from report.umap_layout import SETTINGS, umap_layout

# Confidence is coloured in steps, from each of these on.
STEPS = (0.0, 0.5, 0.7, 0.8, 0.9, 1.0)
UNNAMED = "without an own label"


def label_pictures(cells: AnsweredCells, seed: int = 0) -> Pictures:
    """Draw the cells; ``seed`` is of components and layout."""
    start = time.perf_counter()
    n_cells, rows = len(cells.answer), np.arange(len(cells.answer))
    if n_cells > SHOWN:
        rows = np.sort(np.random.default_rng(seed).choice(n_cells, SHOWN, replace=False))
    x = np.concatenate(list(scaled_rows(cells.file, rows, cells.panel)))
    at = scatter.scaled(umap_layout(principal_components(x, N_PCS, seed), seed))
    names, own = np.array([*cells.classes, None], dtype=object), cells.file.labels.stated[rows]
    # An own label has the colour of the answer of its name.
    every = {*cells.classes, *(name for name in own if name is not None)}
    colours = palette.colours(sorted(every, key=natural))
    drawn = [
        coloured(
            "answer",
            names[cells.answer[rows]],
            {"Coloured by answer": at},
            named=True,
            seed=seed,
            colours=colours,
            rest=UNKNOWN,
        ),
        _by_confidence(cells.confidence[rows], at, seed),
    ]
    if any(name is not None for name in own):
        title = {"Coloured by the site's own labels": at}
        how = {"named": True, "seed": seed, "colours": colours, "rest": UNNAMED}
        drawn.append(coloured("own label", own, title, **how))
    settings = f"Up to {N_PCS} principal components of the classifier's genes; {SETTINGS}"
    seconds = time.perf_counter() - start
    return Pictures(drawn, len(rows), n_cells, seconds, f"{settings}; seed {seed}")


def _by_confidence(confidence: np.ndarray, at: np.ndarray, seed: int) -> Row:
    steps = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(STEPS)]
    step = np.clip(np.searchsorted(STEPS, confidence, side="right") - 1, 0, len(steps) - 1)
    return coloured(
        "confidence",
        np.array(steps, dtype=object)[step],
        {"Coloured by confidence": at},
        named=False,
        seed=seed,
        colours=dict(zip(steps, palette.STEPS, strict=True)),
    )

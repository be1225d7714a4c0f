"""A confusion matrix as a reader takes it in: rows by true class, shaded by share, and in words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NONE_OF_THESE, OUTSIDE = "none of these", "cells of none of the classes"
# Shades of a share of the row, each from this share on.
SHADES = (0.005, 0.05, 0.2, 0.5, 0.9)
TOLD = 5


@dataclass(frozen=True)
class Cell:
    """Cells of one class with one answer; ``shade`` is 0 for none, to 5 for nearly all."""

    n_cells: int
    share: float
    shade: int
    right: bool


@dataclass(frozen=True)
class Row:
    """One true class."""

    name: str
    n_cells: int
    cells: list[Cell]


@dataclass(frozen=True)
class ConfusionTable:
    """Rows of those classes that occur, columns of those that occur or are answered.

    ``told`` names the most frequent wrong answers, ``alt`` says in a sentence what is to be seen.
    """

    columns: list[str]
    rows: list[Row]
    told: list[str]
    alt: str


def confusion_table(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> ConfusionTable:
    """The table of a confusion matrix.

    Parameters
    ----------
    confusion
        (n_classes + 1, n_classes + 1) cells by true class (last: of none) and answer (last:
        unknown).
    """
    counts = np.asarray(confusion, dtype=np.int64)
    n_classes, of_row = len(classes), counts.sum(axis=1)
    names, answers = [*classes, NONE_OF_THESE], [*classes, "unknown"]
    kept = [j for j in range(n_classes + 1) if counts[:, j].any() or (of_row[j] and j < n_classes)]
    rows = [
        Row(names[i], int(of_row[i]), [_cell(counts, i, j, n_classes) for j in kept])
        for i in range(n_classes + 1)
        if of_row[i]
    ]
    wrong = counts.copy()
    np.fill_diagonal(wrong[:n_classes, :n_classes], 0)
    # That such a cell is unknown is right.
    wrong[n_classes, n_classes] = 0
    order = np.argsort(-wrong, axis=None, kind="stable")[:TOLD]
    told = [
        f"{names[i] if i < n_classes else OUTSIDE} answered {answers[j]}: {wrong[i, j]:,} of "
        f"{of_row[i]:,} cells"
        for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[i, j]
    ]
    right = int(np.trace(counts[:n_classes, :n_classes]))
    alt = (
        f"{right:,} of {int(of_row[:n_classes].sum()):,} cells of {n_classes} classes lie on the "
        "diagonal, answered rightly."
    )
    return ConfusionTable([answers[j] for j in kept], rows, told, alt)


def _cell(counts: np.ndarray, i: int, j: int, n_classes: int) -> Cell:
    share = float(counts[i, j] / counts[i].sum())
    shade = int(np.searchsorted(SHADES, share, side="right")) if counts[i, j] else 0
    return Cell(int(counts[i, j]), share, shade, right=i == j)

"""How often each class was given each answer: what a site adds to the sum.

A row for each class and a last one for cells whose label is of no class; a column for each class
and a last one for the answer ``unknown``. Cells that nobody labelled are not counted.
"""

import numpy as np

from common.classification.codes import OUTSIDE, UNLABELLED
from common.classification.probabilities import UNANSWERED


def confusion_counts(truth: np.ndarray, answer: np.ndarray, n_classes: int) -> np.ndarray:
    """Cells by true class and answer, int64 (n_classes + 1, n_classes + 1).

    Parameters
    ----------
    truth
        (n_cells,) classes, ``UNLABELLED`` or ``OUTSIDE``.
    answer
        (n_cells,) classes or ``UNANSWERED``.
    """
    labelled = truth != UNLABELLED
    row = np.where(truth == OUTSIDE, n_classes, truth)[labelled]
    column = np.where(answer == UNANSWERED, n_classes, answer)[labelled]
    size = n_classes + 1
    return np.bincount(row * size + column, minlength=size**2).reshape(size, size)

"""Accuracy and macro-F1 on validation cells, from three numbers of each class summed over sites."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.classification.codes import class_counts
from common.classification.figures import macro_f1

COUNTS = ("n_true", "n_named", "n_right")


@dataclass(frozen=True)
class Validation:
    """How good a classifier is on the validation cells that have a class.

    Parameters
    ----------
    accuracy, macro_f1
        As of :class:`common.classification.figures.Figures`; every cell is answered.
    """

    accuracy: float
    macro_f1: float


def validation_counts(outputs: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """What a site adds, each float64 (n_classes,): cells of a class, answers that name it, right.

    Parameters
    ----------
    outputs
        Logits or margins, (n_cells, n_classes); none gives zeros.
    truth
        (n_cells,) classes; cells without one do not count.
    """
    n_classes = outputs.shape[1]
    classed = truth >= 0
    own, answer = truth[classed], outputs[classed].argmax(axis=1)
    counted = (own, answer, own[answer == own])
    return {
        name: class_counts(codes, n_classes).astype(float)
        for name, codes in zip(COUNTS, counted, strict=True)
    }


def validation_of(sums: Mapping[str, np.ndarray]) -> Validation | None:
    """The figures of summed :func:`validation_counts`; None where they hold no cell or are none."""
    if not set(COUNTS) <= set(sums):
        return None
    n_true, n_named, n_right = (np.rint(sums[name]) for name in COUNTS)
    if not n_true.sum():
        return None
    return Validation(float(n_right.sum() / n_true.sum()), macro_f1(n_right, n_true, n_named))

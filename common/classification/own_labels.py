"""A later site's answers beside the labels that its cells have already."""

from dataclasses import dataclass

import numpy as np

from common.classification.calibration import calibration_sums
from common.classification.codes import UNLABELLED, class_codes
from common.classification.confusion import confusion_counts
from common.classification.figures import Figures, figures_of
from common.classification.vocabulary import UNKNOWN, LabelVocabulary
from common.data.spelling import folded


@dataclass(frozen=True)
class Compared:
    """How often a classifier's answers are the site's own labels.

    Parameters
    ----------
    confusion
        int64 (n_classes + 1, n_classes + 1) cells by own label (last: of no class) and answer
        (last: unknown).
    figures
        ``unknown`` counts as a wrong answer in them.
    """

    confusion: np.ndarray
    figures: Figures


def own_codes(vocabulary: LabelVocabulary, labels: np.ndarray) -> np.ndarray:
    """The class of each cell by its own label, (n_cells,), or ``UNLABELLED`` or ``OUTSIDE``.

    Parameters
    ----------
    labels
        (n_cells,), object, None where a cell has no label. What is called unknown has none.

    Raises
    ------
    InputError
        A label is another spelling of one that the classifier knows.
    """
    stated = [None if name is None or folded(name) == UNKNOWN else name for name in labels]
    return class_codes(vocabulary, np.array(stated, dtype=object), new="outside")


def compare(
    truth: np.ndarray,
    answer: np.ndarray,
    most_probable: np.ndarray,
    confidence: np.ndarray,
    n_classes: int,
) -> Compared | None:
    """Compare answers with own labels; None where no cell has one.

    Parameters
    ----------
    truth
        (n_cells,), of :func:`own_codes`.
    answer
        (n_cells,) classes or ``UNANSWERED``.
    most_probable, confidence
        (n_cells,) class of the highest probability, and that probability.
    """
    if (truth == UNLABELLED).all():
        return None
    confusion = confusion_counts(truth, answer, n_classes)
    classed = truth >= 0
    right = (most_probable == truth)[classed]
    return Compared(confusion, figures_of(confusion, calibration_sums(confidence[classed], right)))

"""How good a classifier is, from the confusion matrix summed over sites: equal to pooled figures.

``unknown`` is a wrong answer: it lowers the recall of the cell's class and the accuracy, and costs
no class precision. Coverage, and the accuracy of what was answered, stand beside it. Cells whose
label is of no class are told apart; with ``outside="counted"`` they lower the precision of the
class they were given, and for the accuracy ``unknown`` is their one right answer.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from common.classification.calibration import expected_calibration_error

Figure = float | None


@dataclass(frozen=True)
class Figures:
    """The figures of one classifier on one set of cells; None where one is undefined.

    Parameters
    ----------
    n_cells, n_outside
        Cells that have a class, and cells whose label is of none.
    accuracy, balanced_accuracy
        Share of right answers; mean recall of the classes that occur.
    macro_f1, weighted_f1
        Mean F1 of the classes that occur, plain and weighted by their cells. A class that never
        occurs is not averaged; a wrong answer that names it costs the cell's own class.
    macro_f1_union
        Mean F1 of the classes that occur or were answered, as scikit-learn's without ``labels``:
        one stray answer of a class that does not occur enters as 0.
    kappa
        Cohen's, ``unknown`` being an answer of its own.
    coverage, accuracy_answered
        Share of cells with an answer other than ``unknown``, and of those the right ones.
    outside_unknown
        Share of the cells outside of the vocabulary that were answered ``unknown``.
    expected_calibration_error
        Of all cells that have a class, before the threshold.
    support, recall, precision, f1
        (n_classes,) by class. Recall is None for a class that does not occur. Precision of one
        that occurs and was never answered is 0 (zero_division = 0); precision and F1 are None only
        for a class that neither occurs nor was answered.
    """

    n_cells: int
    n_outside: int
    accuracy: Figure
    balanced_accuracy: Figure
    macro_f1: Figure
    macro_f1_union: Figure
    weighted_f1: Figure
    kappa: Figure
    coverage: Figure
    accuracy_answered: Figure
    outside_unknown: Figure
    expected_calibration_error: Figure
    support: tuple[int, ...]
    recall: tuple[Figure, ...]
    precision: tuple[Figure, ...]
    f1: tuple[Figure, ...]


def figures_of(
    confusion: np.ndarray,
    calibration: np.ndarray | None = None,
    outside: Literal["apart", "counted"] = "apart",
) -> Figures:
    """The figures from the sums of :func:`common.classification.site_sums.site_sums`.

    Parameters
    ----------
    confusion
        (n_classes + 1, n_classes + 1) cells by true class (last: outside) and answer (last:
        unknown).
    calibration
        (3, n_bins), or None where it was not summed.
    outside
        Whether cells whose label is of no class enter accuracy, kappa, precision and F1.
    """
    # Whole numbers below 2^53, which the decoded sums are: exact.
    confusion = np.asarray(confusion, dtype=np.float64)
    counted = confusion if outside == "counted" else confusion[:-1]
    support, hits = confusion[:-1].sum(axis=1), np.diag(confusion)[:-1]
    answered = counted[:, :-1].sum(axis=0)
    occurs, named = support > 0, (support > 0) | (answered > 0)
    recall = _ratio(hits, support)
    f1 = f1_by_class(hits, support, answered)
    precision = np.where(occurs & (answered == 0), 0.0, _ratio(hits, answered))
    right = hits.sum() + (confusion[-1, -1] if outside == "counted" else 0)
    n_cells, n_outside = support.sum(), confusion[-1].sum()
    return Figures(
        n_cells=int(n_cells),
        n_outside=int(n_outside),
        accuracy=_share(right, counted.sum()),
        balanced_accuracy=_mean(recall[occurs]),
        macro_f1=_mean(f1[occurs]),
        macro_f1_union=_mean(f1[named]),
        weighted_f1=_share((f1 * support)[occurs].sum(), n_cells),
        kappa=_kappa(counted),
        coverage=_share(confusion[:-1, :-1].sum(), n_cells),
        accuracy_answered=_share(hits.sum(), answered.sum()),
        outside_unknown=_share(confusion[-1, -1], n_outside),
        expected_calibration_error=(
            None if calibration is None else expected_calibration_error(calibration)
        ),
        support=tuple(int(n) for n in support),
        **{
            name: tuple(None if np.isnan(value) else float(value) for value in values)
            for name, values in (("recall", recall), ("precision", precision), ("f1", f1))
        },
    )


def f1_by_class(hits: np.ndarray, support: np.ndarray, answered: np.ndarray) -> np.ndarray:
    """F1 of each class, NaN for one that neither occurs nor was answered; (n_classes,).

    Parameters
    ----------
    hits, support, answered
        Right answers, cells and answers of each class, (n_classes,).
    """
    return _ratio(2 * hits, support + answered)


def macro_f1(hits: np.ndarray, support: np.ndarray, answered: np.ndarray) -> Figure:
    """Mean F1 of the classes that occur; parameters as of :func:`f1_by_class`."""
    return _mean(f1_by_class(hits, support, answered)[support > 0])


def _kappa(confusion: np.ndarray) -> Figure:
    """Cohen 1960, doi:10.1177/001316446002000104: agreement beyond that of the margins."""
    n = confusion.sum()
    if not n:
        return None
    size = confusion.shape[1]
    truth, answer = np.zeros(size), confusion.sum(axis=0)
    truth[: len(confusion)] = confusion.sum(axis=1)
    by_chance = float(truth @ answer)
    agreed = float(np.trace(confusion))
    return (agreed * n - by_chance) / (n * n - by_chance) if by_chance < n * n else None


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _share(part: float, whole: float) -> Figure:
    return float(part / whole) if whole else None


def _mean(values: np.ndarray) -> Figure:
    return float(values.mean()) if len(values) else None

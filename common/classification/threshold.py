"""The confidence below which a classifier answers ``unknown``, from summed histograms.

Validation cells are counted over public bins of confidence, right and wrong answers apart, so that
the threshold of all sites is the pooled one exactly. It is one of the bins' lower edges.
"""

from dataclasses import dataclass

import numpy as np

from common.classification.codes import UNLABELLED
from common.classification.probabilities import answers
from common.errors import ConfigError, InputError

N_BINS = 1000


@dataclass(frozen=True)
class Threshold:
    """A threshold and what it gives on the validation cells.

    Parameters
    ----------
    value
        Smallest confidence of an answer, 0 to 1.
    coverage
        Share of the cells that are answered.
    error
        Share of the answers that are wrong.
    kept
        Share of the right answers that are still given.
    met
        Whether it is as was asked. Where no threshold keeps to an error, it is the one of least
        error.
    """

    value: float
    coverage: float
    error: float
    kept: float
    met: bool = True


def confidence_histogram(
    probabilities: np.ndarray, truth: np.ndarray, n_bins: int = N_BINS
) -> np.ndarray:
    """What a site adds: cells by confidence, int64 (2, n_bins + 1), right answers then wrong.

    Bin i is from i / n_bins to below (i + 1) / n_bins; the last is 1 alone.

    Parameters
    ----------
    probabilities
        (n_cells, n_classes) of validation cells.
    truth
        (n_cells,) classes, ``UNLABELLED`` (not counted) or ``OUTSIDE`` (every answer is wrong).

    Raises
    ------
    UpdateError
        A probability is not finite.
    """
    answer, confidence = answers(probabilities)
    bins = np.searchsorted(_edges(n_bins), confidence, side="right") - 1
    rows = (answer == truth, (answer != truth) & (truth != UNLABELLED))
    return np.stack([np.bincount(bins[row], minlength=n_bins + 1) for row in rows])


def threshold_for_error(histogram: np.ndarray, most: float) -> Threshold:
    """The threshold of largest coverage at which no more than ``most`` of the answers are wrong.

    Parameters
    ----------
    histogram
        Of :func:`confidence_histogram`, summed over sites.

    Raises
    ------
    ConfigError
        ``most`` is not from 0 to below 1.
    InputError
        There are no validation cells.
    """
    if not 0 <= most < 1:
        raise ConfigError(f"an error of {most:g} of the answers: give 0 to below 1, as 0.05")
    right, wrong = _from(histogram)
    answered = right + wrong
    some = np.flatnonzero(answered)
    error = wrong[some] / answered[some]
    # The lowest threshold that keeps to the bound covers most.
    good = np.flatnonzero(error <= most)
    if len(good):
        return _threshold(histogram, some[good[0]])
    return _threshold(histogram, some[error.argmin()], met=False)


def threshold_for_kept(histogram: np.ndarray, least: float) -> Threshold:
    """The highest threshold that still gives ``least`` of the right answers.

    Parameters
    ----------
    histogram
        Of :func:`confidence_histogram`, summed over sites.

    Raises
    ------
    ConfigError
        ``least`` is not above 0 and up to 1.
    InputError
        There are no validation cells, or none was answered rightly.
    """
    if not 0 < least <= 1:
        raise ConfigError(f"{least:g} of the right answers to keep: give above 0 to 1, as 0.95")
    right, _ = _from(histogram)
    if not right[0]:
        raise InputError(
            "no validation cell was answered rightly: train longer, or see whether the sites' "
            "labels mean the same."
        )
    # 7 % of 100 answers are 7, not the 8 that floating point would make of them.
    n_least = np.ceil(round(least * float(right[0]), 9))
    return _threshold(histogram, np.flatnonzero(right >= n_least)[-1])


def _edges(n_bins: int) -> np.ndarray:
    return np.arange(n_bins + 1) / n_bins


def _from(histogram: np.ndarray) -> np.ndarray:
    """Right and wrong answers at and above each edge, (2, n_bins + 1)."""
    if not np.sum(histogram):
        raise InputError("no site has validation cells with a label: hold out a larger share.")
    return np.cumsum(np.asarray(histogram)[:, ::-1], axis=1)[:, ::-1]


def _threshold(histogram: np.ndarray, edge: int, met: bool = True) -> Threshold:
    right, wrong = _from(histogram)
    answered = right[edge] + wrong[edge]
    return Threshold(
        value=float(_edges(len(right) - 1)[edge]),
        coverage=float(answered / (right[0] + wrong[0])),
        error=float(wrong[edge] / answered) if answered else 0.0,
        kept=float(right[edge] / right[0]) if right[0] else 0.0,
        met=met,
    )

"""Whether a classifier is right as often as it is confident: sums over sites, and the error of all.

References
----------
Guo et al. 2017, arXiv:1706.04599, equations 2 and 3: bins (b / M, (b + 1) / M], M = 15.
"""

import numpy as np

from common.classification.probabilities import exact

N_BINS = 15


def calibration_sums(
    confidence: np.ndarray, correct: np.ndarray, n_bins: int = N_BINS
) -> np.ndarray:
    """What a site adds: of each bin of confidence the cells, summed confidence, correct answers.

    Parameters
    ----------
    confidence
        (n_cells,), 0 to 1, of the class of highest probability.
    correct
        (n_cells,), bool: that class is the cell's.

    Returns
    -------
    sums
        float64 (3, n_bins).
    """
    uppers = np.arange(1, n_bins + 1) / n_bins
    # A softmax of float32 may end a little above 1.
    bins = np.minimum(np.searchsorted(uppers, confidence, side="left"), n_bins - 1)
    rows = (np.ones(len(bins)), exact(confidence), correct)
    return np.stack([np.bincount(bins, row, minlength=n_bins) for row in rows])


def expected_calibration_error(sums: np.ndarray) -> float | None:
    """sum_b n_b / n |accuracy_b - confidence_b|, 0 (calibrated) to 1; None without cells.

    Parameters
    ----------
    sums
        Of :func:`calibration_sums`, summed over sites.
    """
    n_cells, confidence, correct = sums
    return float(np.abs(correct - confidence).sum() / n_cells.sum()) if n_cells.sum() else None

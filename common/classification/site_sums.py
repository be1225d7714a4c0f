"""What a site's test or validation cells add to the sums that all figures come from."""

import numpy as np

from common.classification.calibration import calibration_sums
from common.classification.confusion import confusion_counts
from common.classification.probabilities import answers


def site_sums(
    probabilities: np.ndarray, truth: np.ndarray, threshold: float = 0.0
) -> dict[str, np.ndarray]:
    """Sums over a site's cells, for :func:`common.classification.figures.figures_of`.

    Parameters
    ----------
    probabilities
        (n_cells, n_classes).
    truth
        (n_cells,) classes, ``UNLABELLED`` or ``OUTSIDE``.
    threshold
        Smallest confidence of an answer.

    Returns
    -------
    sums
        ``confusion``, int64 (n_classes + 1, n_classes + 1), with the answers ``unknown``;
        ``calibration``, float64 (3, n_bins), of the most probable class of every cell that has a
        class, whether answered or not.

    Raises
    ------
    UpdateError
        A probability is not finite.
    """
    answer, confidence = answers(probabilities, threshold)
    classed = truth >= 0
    correct = (probabilities.argmax(axis=1) == truth)[classed]
    return {
        "confusion": confusion_counts(truth, answer, probabilities.shape[1]),
        "calibration": calibration_sums(confidence[classed], correct),
    }

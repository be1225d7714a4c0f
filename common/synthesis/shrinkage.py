"""Noisy values made one, or shrunk to their mean as far as noise explains their spread."""

import numpy as np


def shrunk_to_mean(found: np.ndarray, error: float) -> tuple[np.ndarray, float]:
    """James and Stein's estimate towards the common mean (Efron, Morris 1973).

    Parameters
    ----------
    found
        (d,).
    error
        The variance of the noise in each.

    Returns
    -------
    The estimates, and the variance of their error.
    """
    middle, spread = found.mean(), found.var()
    kept = max(spread - error, 0.0) / spread if spread else 1.0
    return middle + kept * (found - middle), kept * error


def spread_beyond(found: np.ndarray, error: float) -> float:
    """Variance of values that noise of variance ``error`` does not explain, not negative.

    Two standard errors of a Gaussian's variance are left to the noise: where it is far above what
    it hides, less would take chance for spread.
    """
    return max(float(found.var()) - error * (1 + 2 * np.sqrt(2 / len(found))), 0.0)


def trusting(
    first: np.ndarray, error: np.ndarray | float, second: np.ndarray, other: np.ndarray | float
) -> np.ndarray:
    """Two estimates as one, weighted by the inverse of their errors' variances."""
    part = other / np.maximum(error + other, 1e-300)
    return part * first + (1 - part) * second

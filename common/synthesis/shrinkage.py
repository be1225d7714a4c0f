"""Noisy values of all genes, shrunk to their mean as far as noise explains their spread."""

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

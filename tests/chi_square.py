"""Pearson's test of whole-number samples against an exact distribution."""

import numpy as np
from scipy import stats

# A right sampler fails once in a thousand million tests.
CHANCE = 1e-9


def p_value(samples, values, probabilities):
    """Of samples under probabilities of consecutive values; rare values are put together."""
    expected = probabilities * len(samples)
    common = np.flatnonzero(expected >= 20)
    low, high = common[0], common[-1]
    index = np.clip(samples - values[0], low, high) - low
    observed = np.bincount(index, minlength=high - low + 1)
    inner = expected[low : high + 1].copy()
    inner[0] += expected[:low].sum()
    inner[-1] += expected[high + 1 :].sum()
    return stats.chisquare(observed, inner * observed.sum() / inner.sum()).pvalue


def gaussian_law(variance):
    """The discrete Gaussian: values, probabilities."""
    half = int(12 * variance**0.5) + 12
    values = np.arange(-half, half + 1)
    weights = np.exp(-(values**2) / (2 * float(variance)))
    return values, weights / weights.sum()

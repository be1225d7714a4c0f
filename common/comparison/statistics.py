"""Means of repeats with their confidence intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean of ``n`` values and its two-sided 95 % interval."""

    mean: float
    low: float
    high: float
    n: int


def interval(values: Sequence[float]) -> Interval:
    """By Student's t, of independent values that are about normal.

    Raises
    ------
    ValueError
        One value alone has no interval.
    """
    from scipy.stats import t

    n = len(values)
    if n < 2:
        raise ValueError(f"an interval needs at least 2 values, and there are {n}")
    mean = float(np.mean(values))
    half = float(t.ppf((1 + LEVEL) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def paired(values: Sequence[float], reference: Sequence[float]) -> Interval:
    """Of the differences to what the reference gave in the same repeat."""
    return interval([a - b for a, b in zip(values, reference, strict=True)])

"""Exact samples of the symmetric Skellam distribution: the difference of two Poisson counts.

It is closed under addition: shares of variance v/n add up to exactly a Skellam of variance v.

References
----------
Agarwal, Kairouz, Liu 2021, arXiv:2110.04995.
"""

from fractions import Fraction

import numpy as np

from common.privacy.poisson import poisson
from common.privacy.words import Words, random_words


def skellam(variance: Fraction | int, n: int, words: Words = random_words) -> np.ndarray:
    """Independent samples, not seeded and not repeatable.

    Parameters
    ----------
    variance
        Exact, at most 2^29.
    n
        How many.
    words
        Where the random words come from; another one for tests only.

    Returns
    -------
    int64 (n,).

    Raises
    ------
    ConfigError
        The variance is not an exact number above 0 and at most 2^29.
    """
    # A float stays one, and is refused.
    mean = Fraction(variance, 2) if isinstance(variance, int) else variance / 2
    return poisson(mean, n, words) - poisson(mean, n, words)

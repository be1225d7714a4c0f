"""Exact samples of the discrete Gaussian: P(x) proportional to exp(-x^2 / (2 sigma^2)) on Z.

References
----------
Canonne, Kamath, Steinke 2020, arXiv:2004.00010, Algorithms 2 and 3 (vectorised: every coin of a
batch falls at once; samples that are rejected are drawn again in the next batch).
"""

from fractions import Fraction
from math import isqrt

import numpy as np

from common.errors import ConfigError
from common.privacy.bernoulli import Fractions, bernoulli_exp, geometric_exp
from common.privacy.words import Words, integers_below, random_words

LARGEST_VARIANCE = 2**80  # sigma 2^40: sums of samples stay far inside int64
BATCH = 2**18


def discrete_gaussian(variance: Fraction | int, n: int, words: Words = random_words) -> np.ndarray:
    """Independent samples, not seeded and not repeatable.

    Parameters
    ----------
    variance
        sigma^2, exact: the parameter. The distribution's own variance is smaller below sigma = 1
        (0.86 sigma^2 at 0.5), and equal within 1e-6 from there on.
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
        The variance is not an exact positive number of at most 2^80.
    """
    sigma2 = _checked(variance)
    parts, missing = [np.empty(0, dtype=np.int64)], n
    while missing > 0:
        accepted = _propose(sigma2, min(2 * missing + 16, BATCH), words)[:missing]
        parts.append(accepted)
        missing -= len(accepted)
    return np.concatenate(parts)


def discrete_laplace(scale: int, n: int, words: Words = random_words) -> np.ndarray:
    """Samples with P(x) proportional to exp(-abs(x) / scale), fewer than ``n``: int64 (m,).

    Algorithm 2 with s = 1; a rejected proposal is left out.
    """
    u = integers_below(scale, n, words)
    u = u[bernoulli_exp(Fractions(u, scale), words)]
    size = u + scale * geometric_exp(len(u), words)
    negative = integers_below(2, len(size), words).astype(bool)
    # Zero has one sign, not two.
    kept = ~(negative & (size == 0))
    return np.where(negative, -size, size)[kept]


def _propose(sigma2: Fraction, n: int, words: Words) -> np.ndarray:
    """Algorithm 3 on a batch of at most ``n`` proposals: those accepted."""
    p, q = sigma2.numerator, sigma2.denominator
    t = isqrt(p // q) + 1  # floor(sigma) + 1
    y = discrete_laplace(t, n, words)
    sizes, which = np.unique(np.abs(y), return_inverse=True)
    # gamma = (abs(y) - sigma^2 / t)^2 / (2 sigma^2) = (abs(y) q t - p)^2 / (2 p q t^2)
    gamma = (sizes.astype(object) * (q * t) - p) ** 2
    denominator = 2 * p * q * t**2
    whole = gamma // denominator
    # Kept in 64 bits: no geometric count reaches 2^62.
    ones = np.minimum(whole, 2**62).astype(np.int64)
    part = Fractions(gamma - whole * denominator, denominator)
    kept = np.flatnonzero(geometric_exp(len(y), words) >= ones[which])
    kept = kept[bernoulli_exp(part.take(which[kept]), words)]
    return y[kept]


def _checked(variance: Fraction | int) -> Fraction:
    if isinstance(variance, bool) or not isinstance(variance, Fraction | int):
        raise ConfigError(
            f"variance = {variance!r} is not exact; give a whole number or a Fraction"
        )
    if not 0 < variance <= LARGEST_VARIANCE:
        raise ConfigError(
            f"variance = {float(variance):g} of discrete Gaussian noise must be above 0 and at "
            "most 2^80; use a coarser grid"
        )
    return Fraction(variance)

"""Exact samples of the Poisson distribution with a rational mean.

A uniform number of unlimited precision is looked up in the cumulative distribution. Its first 64
binary digits are compared with certified lower and upper bounds of the cumulative probabilities,
from integer arithmetic; a number that falls between the bounds (fewer than one of 10^12) gets more
digits, and the table is made anew with as many. The result is exact, however long a table is.

The bounds: with the mode's weight set to a large integer, weight k + 1 is weight k times
mean / (k + 1), rounded down. All factors are at most 1 away from the mode, so a weight lacks less
than its distance from the mode, and what lies beyond the table is below a geometric series.
"""

from fractions import Fraction
from functools import lru_cache

import numpy as np

from common.errors import ConfigError
from common.privacy.words import BITS, Words, random_words

LARGEST_MEAN = 2**28  # a table of 300,000 entries
GUARD_BITS = 64


def poisson(mean: Fraction | int, n: int, words: Words = random_words) -> np.ndarray:
    """Independent samples, not seeded and not repeatable.

    Parameters
    ----------
    mean
        Exact.
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
        The mean is not an exact number above 0 and at most 2^28.
    """
    if isinstance(mean, bool) or not isinstance(mean, Fraction | int):
        raise ConfigError(f"mean = {mean!r} is not exact; give a whole number or a Fraction")
    if not 0 < mean <= LARGEST_MEAN:
        raise ConfigError(
            f"mean = {float(mean):g} of Poisson noise must be above 0 and at most 2^28; use a "
            "coarser grid or discrete Gaussian noise"
        )
    first, lower, upper = _table(Fraction(mean))
    drawn = words(n)
    # As many bounds as surely lie at or below the number ...
    index = np.searchsorted(lower, drawn, side="right")
    # ... if the last of them does for its upper bound, too.
    unsure = (index > 0) & (upper[index - 1] >= drawn)
    out = first - 1 + index.astype(np.int64)
    for i in np.flatnonzero(unsure):
        out[i] = _go_on(Fraction(mean), int(drawn[i]), BITS, words)
    return out


@lru_cache(maxsize=8)
def _table(mean: Fraction) -> tuple[int, np.ndarray, np.ndarray]:
    """The first value, and the bounds of P(X <= first - 1), P(X <= first), ... in 64 digits."""
    first, lower, upper = bounds(mean, BITS)
    most = 2**BITS - 1
    return (
        first,
        np.array([min(x, most) for x in lower], dtype=np.uint64),
        np.array([min(x, most) for x in upper], dtype=np.uint64),
    )


def bounds(mean: Fraction, bits: int) -> tuple[int, list[int], list[int]]:
    """Certified bounds of the cumulative distribution.

    Parameters
    ----------
    mean
        Above 0.
    bits
        Binary digits wanted.

    Returns
    -------
    first, lower, upper
        For k = first - 1, first, ...: lower <= floor(P(X <= k) 2^bits) <= upper, rising. What is
        before and after is so improbable that its bounds are unsure in the last digit.
    """
    p, q = mean.numerator, mean.denominator
    mode, top = p // q, 1 << (bits + GUARD_BITS)
    up, weight, k = [], top, mode
    while weight:
        up.append(weight)
        k += 1
        weight = weight * p // (k * q)
    # True weights from k on: below (k - mode) p^j / ..., a geometric series of factor mean/(k + 1).
    above = -(-(k - mode) * (k + 1) * q // ((k + 1) * q - p))
    down, weight, first = [], top, mode
    while first and (weight := weight * first * q // p):
        down.append(weight)
        first -= 1
    # Those below first: a series of factor first / mean, or nothing.
    below = -(-(mode - first + 1) * p // (p - first * q)) if first else 0
    weights = down[::-1] + up
    total = sum(weights)
    most = total + sum(abs(first + i - mode) for i in range(len(weights))) + above + below
    lower, upper, least, greatest = [0], [(below << bits) // total], 0, below
    for i, w in enumerate(weights):
        least += w
        greatest += w + abs(first + i - mode)
        lower.append((least << bits) // most)
        upper.append((greatest << bits) // total)
    return first, lower, upper


def _go_on(mean: Fraction, drawn: int, bits: int, words: Words) -> int:
    """The value for a number whose first ``bits`` digits lie between two bounds."""
    while True:
        drawn, bits = drawn << BITS | int(words(1)[0]), bits + BITS
        value = look_up(bounds(mean, bits), drawn)
        if value is not None:
            return value


def look_up(table: tuple[int, list[int], list[int]], drawn: int) -> int | None:
    """The value at a number's digits in the table of as many; None: they do not settle it."""
    first, lower, upper = table
    at_or_below = sum(bound <= drawn for bound in lower)
    if at_or_below and upper[at_or_below - 1] >= drawn:
        return None
    return first + at_or_below - 1

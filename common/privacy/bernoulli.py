"""Exact coins that fall true with probability p or exp(-gamma), for rational p and gamma.

A uniform number of unlimited precision is compared with p, 64 binary digits at a time: all coins
take the first 64 together, the few (one of 2^64) whose digits equal those of p go on alone. Only
integers are compared, so no probability is rounded.

References
----------
Canonne, Kamath, Steinke 2020, arXiv:2004.00010, Algorithm 1.
"""

import numpy as np

from common.privacy.words import BITS, Words, random_words

ONE = 2**BITS


class Fractions:
    """Rational numbers of [0, 1) over one denominator, with their first 64 binary digits.

    Parameters
    ----------
    numerators
        Each of 0 ... ``denominator`` - 1: int64 (n,), or Python integers of any size as object.
    denominator
        Of all of them.
    """

    def __init__(self, numerators: np.ndarray, denominator: int):
        self.numerators, self.denominator = numerators, denominator
        if denominator <= 2**32:
            # floor(a 2^64 / d) by two steps of long division, each within 64 bits.
            a, d, half = numerators.astype(np.uint64), np.uint64(denominator), np.uint64(32)
            high, rest = np.divmod(a << half, d)
            self.digits = (high << half) | ((rest << half) // d)
        else:
            exact = numerators.astype(object)
            self.digits = ((exact << BITS) // denominator).astype(np.uint64)

    def __len__(self) -> int:
        return len(self.digits)

    def take(self, index: np.ndarray) -> "Fractions":
        """Those at ``index``."""
        part = object.__new__(Fractions)
        part.numerators, part.denominator = self.numerators[index], self.denominator
        part.digits = self.digits[index]
        return part


def bernoulli(p: Fractions, divisor: int = 1, words: Words = random_words) -> np.ndarray:
    """Coins that fall true with probability ``p / divisor``: bool (n,)."""
    # floor(floor(x) / k) = floor(x / k): the digits of p / k need no second division of p.
    digits = p.digits // np.uint64(divisor)
    drawn = words(len(p))
    heads = drawn < digits
    for i in np.flatnonzero(drawn == digits):
        heads[i] = _go_on(int(p.numerators[i]), p.denominator * divisor, words)
    return heads


def _go_on(numerator: int, denominator: int, words: Words) -> bool:
    """The rest of a comparison whose first 64 digits were equal."""
    while True:
        numerator = numerator * ONE % denominator
        if not numerator:
            return False
        digits, drawn = numerator * ONE // denominator, int(words(1)[0])
        if drawn != digits:
            return drawn < digits


def bernoulli_exp(gamma: Fractions, words: Words = random_words) -> np.ndarray:
    """Coins that fall true with probability exp(-gamma), gamma of [0, 1): bool (n,)."""
    heads = np.empty(len(gamma), dtype=bool)
    left, k = np.arange(len(gamma)), 1
    while len(left):
        going = bernoulli(gamma, k, words)
        # The first tail in place k: true for odd k.
        heads[left[~going]] = k % 2 == 1
        left, gamma = left[going], gamma.take(going)
        k += 1
    return heads


def bernoulli_exp_minus_one(n: int, words: Words = random_words) -> np.ndarray:
    """Coins that fall true with probability exp(-1): bool (n,)."""
    heads = np.empty(n, dtype=bool)
    # gamma = 1 as two halves: 64 digits cannot hold a one.
    half = Fractions(np.ones(n, dtype=np.int64), 2)
    heads[:] = bernoulli_exp(half, words)
    again = np.flatnonzero(heads)
    heads[again] = bernoulli_exp(half.take(again), words)
    return heads


def geometric_exp(n: int, words: Words = random_words) -> np.ndarray:
    """How many coins of exp(-1) fall true before the first tail: int64 (n,)."""
    counts, left = np.zeros(n, dtype=np.int64), np.arange(n)
    while len(left):
        left = left[bernoulli_exp_minus_one(len(left), words)]
        counts[left] += 1
    return counts

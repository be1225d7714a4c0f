"""Uniform 64-bit words from the operating system's CSPRNG, and exact integers below a bound."""

import os
from collections.abc import Callable

import numpy as np

# Gives that many uniform words, uint64 (n,). Nothing is kept between calls: a process that forks
# would otherwise use the same words twice, and its noise with them.
Words = Callable[[int], np.ndarray]

BITS = 64


def random_words(n: int) -> np.ndarray:
    """``n`` independent uniform words, uint64 (n,), read-only."""
    return np.frombuffer(os.urandom(8 * n), dtype=np.uint64)


def integers_below(bound: int, n: int, words: Words = random_words) -> np.ndarray:
    """Uniform integers of 0 ... ``bound`` - 1, exactly, by rejection.

    Parameters
    ----------
    bound
        1 ... 2^63.
    n
        How many.
    words
        Where the words come from; another one for tests only.

    Returns
    -------
    int64 (n,).
    """
    multiple = 2**BITS // bound * bound
    out = np.empty(0, dtype=np.uint64)
    while len(out) < n:
        drawn = words(n - len(out))
        if multiple < 2**BITS:
            drawn = drawn[drawn < np.uint64(multiple)]
        out = np.concatenate([out, drawn % np.uint64(bound)])
    return out.astype(np.int64)

"""In which order methods run: in blocks, each of which has every method once."""

from collections.abc import Sequence

import numpy as np


def blocks(names: Sequence[str], repeats: int, seed: int) -> list[list[str]]:
    """The order of every repeat, drawn anew for each; more repeats leave the first as they are.

    What drifts with time (temperature, clocks, caches, other work) then falls on all methods
    alike, and differences within a block are of neighbours in time.
    """
    orders = (np.random.default_rng([seed, i]).permutation(len(names)) for i in range(repeats))
    return [[names[j] for j in order] for order in orders]


def seed_of(seed: int, repeat: int) -> int:
    """The runs' own seed in a repeat, counted from 0: of all methods the same."""
    return (seed + repeat) % 2**31

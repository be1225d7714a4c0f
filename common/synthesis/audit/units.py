"""Records by the unit that they are of: whom privacy is for."""

from collections.abc import Iterator

import numpy as np

from common.synthesis.records import Records


def each_unit(records: Records) -> Iterator[Records]:
    """The records of one unit after the other, each alone."""
    order = np.argsort(records.units, kind="stable")
    ends = np.cumsum(np.bincount(records.units, minlength=records.n_units))
    for rows in np.split(order, ends[:-1]):
        yield Records(
            records.values[rows], records.classes[rows], np.zeros(len(rows), dtype=np.int64)
        )


def unit_means(scores: np.ndarray, units: np.ndarray) -> np.ndarray:
    """The mean score of every unit that has records, (n_units,).

    Parameters
    ----------
    scores, units
        Of each record, (n,); a score of NaN, of a record that cannot be judged, is left out.
    """
    known = ~np.isnan(scores)
    n = np.bincount(units[known], minlength=1)
    return (np.bincount(units[known], scores[known], minlength=1) / np.maximum(n, 1))[n > 0]


def halves(n: int, seed: int) -> np.ndarray:
    """Which half, 0 or 1, each of ``n`` units is in, at random: int64 (n,)."""
    return np.random.default_rng(seed).permutation(np.arange(n) % 2)

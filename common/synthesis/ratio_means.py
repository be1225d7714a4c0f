"""Means as ratios of clipped sums, which need no count and are not drawn to the centre by clipping.

What a unit adds is a vector with one part more, a constant: (v, h), clipped to a ball as a whole.
The sum of s v over the sum of s h, s <= 1 being how far each was clipped, is h times smaller than
the mean of v weighted by s. A plain clipped sum over a count would be too small by the mean of s.
"""

from dataclasses import dataclass

import numpy as np

from common.synthesis.contributions import STEPS, Pairs, whole_in_ball

PART = 0.3  # of the radius is the constant: 4.5 % more noise elsewhere


@dataclass(frozen=True)
class Rows:
    """What units add to one release, before clipping: all in one L2 ball.

    Parameters
    ----------
    of_units
        float64 (n_units, a).
    of_pairs
        Of each class of a unit, float64 (n_pairs, b).
    """

    of_units: np.ndarray
    of_pairs: np.ndarray

    def sums(self, pairs: Pairs, radius: float, n_classes: int) -> np.ndarray:
        """Clipped and summed: int64 (a + n_classes b,); L2 sensitivity STEPS."""
        squares = row_squares(self.of_pairs)
        squares = np.bincount(pairs.pair_unit, weights=squares, minlength=pairs.n_units)
        norms = np.sqrt(squares + row_squares(self.of_units))
        ours = whole_in_ball(self.of_units, norms, radius).sum(axis=0)
        if not self.of_pairs.shape[1]:
            return ours
        theirs = whole_in_ball(self.of_pairs, norms[pairs.pair_unit], radius)
        return np.concatenate([ours, pairs.by_class(theirs, n_classes).ravel()])


def row_squares(rows: np.ndarray) -> np.ndarray:
    """Sum of each row's squares: (n, d) to (n,), the same bits whatever the other rows are."""
    # NumPy's order of summing, and the last bit, depend on the layout, and that on what was joined.
    squares = np.ascontiguousarray(rows) ** 2
    return squares.sum(axis=1)


def with_constant(rows: np.ndarray, radius: float) -> np.ndarray:
    """Rows (n, d) with the constant behind: (n, d + 1)."""
    return np.hstack([rows, np.full((len(rows), 1), PART * radius)])


def weights_of(constants: np.ndarray) -> np.ndarray:
    """Units, each weighted by how far it was clipped, from sums of constants in grid steps."""
    return constants / (PART * STEPS)

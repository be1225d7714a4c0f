"""The share of a variance that lies between batches, from sums, without the bias of few cells.

For features f of one cell type in G batches, with m_g the mean of batch g, S_g its sample
covariance and n_g its cells, every batch counting alike:

    between = 1/G sum_g |m_g - m|^2 - (1 - 1/G) 1/G sum_g tr(S_g) / n_g,    m = 1/G sum_g m_g,
    share = between / (between + 1/G sum_g tr(S_g)).

The subtracted term is what means of n_g cells differ by chance: ``between`` has the expectation
1/G sum_g |mu_g - mu|^2 whatever the batches' covariances, and is 0 on average where batches do not
differ. Products of two halves of each batch would be unbiased too; this is their mean over all
splits, without a split's own noise. A little below 0 means that batches are more alike than samples
drawn at random, as where a correction sets their means equal.

A site adds sums over its own batches; nothing in them tells one batch or site from another. Batches
and not cells count alike, so that these sums and those of other phases over all cells do not differ
by the cells that are left out here: sums weighted by cells would show, as their difference, the
mean of a type that one site alone holds.

References
----------
Searle, Casella & McCulloch 1992, Variance Components, doi:10.1002/9780470316856 (the unbiased
estimate of a variance between groups); Anderson 2001, doi:10.1111/j.1442-9993.2001.01070.pp.x
(of multivariate scatter).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Features = Callable[[np.ndarray], np.ndarray]
CHUNK = 4096


def plain(cells: np.ndarray) -> np.ndarray:
    """The coordinates themselves as features."""
    return cells


@dataclass(frozen=True)
class BatchSums:
    """Sums over the batches of one type, at one site or at all.

    Parameters
    ----------
    total
        Of m_g, (n_features,).
    squares
        Of each batch's mean of |f|^2.
    within, chance
        Of tr(S_g), and of tr(S_g) / n_g.
    """

    total: np.ndarray
    squares: float
    within: float
    chance: float

    @classmethod
    def of(
        cls, cells: np.ndarray, batches: list[np.ndarray], features: Features = plain
    ) -> "BatchSums":
        """What one site adds.

        Parameters
        ----------
        cells
            (n_cells, n_dims), float64.
        batches
            Row numbers of the type's batches, at least 2 in each.
        features
            Makes (n, n_features) of (n, n_dims).
        """
        total, squares, within, chance = features(cells[:1])[0] * 0.0, 0.0, 0.0, 0.0
        for rows in batches:
            n, mean, square = len(rows), np.zeros_like(total), 0.0
            for first in range(0, n, CHUNK):
                found = features(cells[rows[first : first + CHUNK]])
                mean += found.sum(axis=0) / n
                square += float((found**2).sum()) / n
            variance = n / (n - 1) * (square - float(mean @ mean))
            total += mean
            squares += square
            within += variance
            chance += variance / n
        return cls(total, squares, within, chance)

    def between_share(self, n_batches: int) -> float | None:
        """The share, at most 1, from sums over all sites; None where the features do not vary."""
        mean = self.total / n_batches
        of_means = (self.squares - self.within + self.chance) / n_batches - float(mean @ mean)
        between = of_means - (1 - 1 / n_batches) * self.chance / n_batches
        total = between + self.within / n_batches
        if not total > 1e-9 * self.squares / n_batches:
            return None
        return between / total

"""The share of a variance that lies between batches, from sums, without the bias of few cells.

For features f of N cells of one type in batches g of n_g cells, with S_g the sample covariance of a
batch and T the scatter of all cells about their mean:

    share = 1 - (1 - 1/N) sum_g n_g tr(S_g) / T,

one minus the mean variance within batches over the variance of all, each with Bessel's correction.
Its numerator, T minus the subtracted term, has the expectation sum_g n_g |mu_g - mu|^2 whatever
the batches' covariances: 0 where batches do not differ, while the plain ratio of scatters is about
(n_batches - 1) / N then. Products of two halves of each batch would be unbiased too; this is their
mean over all splits, without a split's own noise. A little below 0 means that batches are more
alike than samples drawn at random, as where a correction sets their means equal.

A site adds sums over its own batches; nothing in them tells one batch or site from another.

References
----------
Kelley 1935, doi:10.1073/pnas.21.9.554 (the unbiased correlation ratio); Anderson 2001,
doi:10.1111/j.1442-9993.2001.01070.pp.x (between-group shares of multivariate scatter).
"""

from collections.abc import Callable

import numpy as np

Features = Callable[[np.ndarray], np.ndarray]
CHUNK = 4096


def plain(cells: np.ndarray) -> np.ndarray:
    """The coordinates themselves as features."""
    return cells


def feature_sums(
    cells: np.ndarray, batches: list[np.ndarray], n_cells: int, features: Features = plain
) -> tuple[np.ndarray, float, float]:
    """What one site adds for one type: sums over its cells, all divided by ``n_cells``.

    Parameters
    ----------
    cells
        (n_cells_of_site, n_dims), float64.
    batches
        Row numbers of the type's batches, at least 2 in each.
    n_cells
        Cells of all sites, so that sums do not grow with them.
    features
        Makes (n, n_features) of (n, n_dims).

    Returns
    -------
    total
        Sum of features, (n_features,).
    squares
        Sum of their squared norms.
    within
        sum_g n_g tr(S_g).
    """
    total, squares, within = features(cells[:1])[0] * 0.0, 0.0, 0.0
    for rows in batches:
        own, own_squares = np.zeros_like(total), 0.0
        for first in range(0, len(rows), CHUNK):
            found = features(cells[rows[first : first + CHUNK]])
            own += found.sum(axis=0)
            own_squares += float((found**2).sum())
        n = len(rows)
        within += n / (n - 1) * (own_squares - float(own @ own) / n)
        total += own
        squares += own_squares
    return total / n_cells, squares / n_cells, within / n_cells


def between_share(
    total: np.ndarray, squares: float, within: float, n_type: int, n_cells: int
) -> float | None:
    """The share of a type's variance between batches, from sums over sites of :func:`feature_sums`.

    Parameters
    ----------
    total, squares, within
        The sums.
    n_type
        Cells of the type that were summed.
    n_cells
        What the sums were divided by.

    Returns
    -------
    At most 1; None where the features do not vary.
    """
    scatter = squares - float(total @ total) * n_cells / n_type
    if not scatter > 1e-9 * squares:
        return None
    return 1 - (1 - 1 / n_type) * within / scatter

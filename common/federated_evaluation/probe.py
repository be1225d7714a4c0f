"""A linear probe that tries to tell a type's batches apart by coordinates and their squares.

The least-squares regression of the indicators of batch, within each type, on features f explains
tr(T^-1 B) of their variance (Pillai's trace), with T the scatter of f about each type's mean over
all types and B its part between batches, every batch counting alike. T is summed over sites and
sent back; then each batch's part of tr(T^-1 (T - B)) is one number, and a site adds those of its
batches. No column of the probe is a batch or a site, which a regression on indicators would send.
B is estimated without the bias of few cells, as in ``between.py``: the value is 0 on average where
batches cannot be told apart, while a fitted probe would seem to tell them by chance.

References
----------
Pillai 1955, doi:10.1214/aoms/1177728599.
"""

import numpy as np

from common.alignment import symmetric, upper
from common.federated_evaluation.between import CHUNK, BatchSums

# Of the mean variance of a feature: directions with less say nothing.
RIDGE = 1e-3


def probe_features(standard: np.ndarray) -> np.ndarray:
    """(n_cells, 2 n_dims): coordinates about the type's mean, and their squares."""
    return np.hstack([standard, standard**2])


def product_sums(standard: np.ndarray, batches: list[np.ndarray]) -> np.ndarray:
    """One site's sum over a type's batches of their mean of f f^T; upper triangle.

    Parameters
    ----------
    standard
        (n_cells_of_site, n_dims), about the type's mean.
    batches
        Row numbers of the type's batches.
    """
    n_features = 2 * standard.shape[1]
    products = np.zeros((n_features, n_features))
    for rows in batches:
        for first in range(0, len(rows), CHUNK):
            features = probe_features(standard[rows[first : first + CHUNK]])
            products += features.T @ features / len(rows)
    return upper(products)


def scatter_of(products: np.ndarray, totals: np.ndarray, n_batches: np.ndarray) -> np.ndarray:
    """T, (n_features, n_features), from the sums over sites.

    Parameters
    ----------
    products
        Of :func:`product_sums` over all types, upper triangle.
    totals
        Sums of the batches' mean features of each type, (n_types, n_features).
    n_batches
        Of each type, (n_types,).
    """
    return symmetric(products) - (totals.T / n_batches) @ totals


def whitening(scatter: np.ndarray) -> np.ndarray:
    """L with L L^T = (T + ridge)^-1; zeros where nothing varies."""
    ridge = RIDGE * np.trace(scatter) / len(scatter)
    if not ridge > 0:
        return np.zeros_like(scatter)
    return np.linalg.cholesky(np.linalg.inv(scatter + ridge * np.eye(len(scatter))))


def probe_sums(
    standard: np.ndarray, batches: list[np.ndarray], whitener: np.ndarray
) -> tuple[float, float]:
    """What one site adds for one type: ``within`` and ``chance`` of its whitened features."""
    sums = BatchSums.of(standard, batches, lambda x: probe_features(x) @ whitener)
    return sums.within, sums.chance


def explained(
    scatter: np.ndarray,
    whitener: np.ndarray,
    within: np.ndarray,
    chance: np.ndarray,
    n_batches: np.ndarray,
) -> float | None:
    """Mean share of the variance of the batches' indicators that the probe explains.

    Parameters
    ----------
    scatter, whitener
        Of :func:`scatter_of` and :func:`whitening`.
    within, chance
        Sums over sites of :func:`probe_sums`, (n_types,).
    n_batches
        Of each type, (n_types,).

    Returns
    -------
    1: it tells every batch from the others; None where no type has two batches or varies.
    """
    degrees = int((n_batches - 1).sum())
    if degrees < 1 or not whitener.any():
        return None
    trace = float((whitener * (scatter @ whitener)).sum())
    return (trace - float((within - chance / n_batches).sum())) / degrees

"""Second moments of a batch made those of the reference: the optimal map between two normals.

For x of covariance C the linear map A = C^(-1/2) (C^(1/2) R C^(1/2))^(1/2) C^(-1/2) gives A x the
covariance R and moves x least in the mean square. Equal means alone leave a batch that is more
spread, or along other axes, recognisable within each type.

References
----------
Peyré & Cuturi 2019, Computational Optimal Transport, doi:10.1561/2200000073, remark 2.31.
"""

import numpy as np

# A batch's own covariance counts as its cells, the reference as so many. More mixes small batches
# less; fewer stretches cells that are aligned by neighbours' labels.
PRIOR_CELLS = 10
# Of the reference's mean variance: directions with less are noise.
FLOOR = 1e-3


def covariance(latent: np.ndarray) -> np.ndarray:
    """(latent_dim, latent_dim), float64, of cells (n_cells, latent_dim); n_cells at least 2."""
    return np.atleast_2d(np.cov(latent, rowvar=False, dtype=np.float64))


def upper(matrix: np.ndarray) -> np.ndarray:
    """The upper triangle by rows of a symmetric matrix, its diagonal with it."""
    return matrix[np.triu_indices(len(matrix))]


def symmetric(values: np.ndarray) -> np.ndarray:
    """The matrix of which :func:`upper` are ``values``."""
    dim = int((np.sqrt(8 * len(values) + 1) - 1) / 2)
    full = np.zeros((dim, dim))
    full[np.triu_indices(dim)] = values
    return full + np.triu(full, 1).T


def aligning_map(latent: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The map A for the cells of one batch and type, (latent_dim, latent_dim).

    Their covariance is estimated with the reference as a prior worth ``PRIOR_CELLS`` cells, so that
    a few cells are hardly stretched.

    Parameters
    ----------
    latent
        (n_cells, latent_dim).
    reference
        R, (latent_dim, latent_dim).
    """
    n_cells, dim = latent.shape
    if n_cells < 2:
        return np.eye(dim)
    weight = n_cells / (n_cells + PRIOR_CELLS)
    own = weight * covariance(latent) + (1 - weight) * reference
    floor = FLOOR * np.trace(reference) / dim
    if not floor > 0:
        return np.eye(dim)
    root, inverse = _power(own, 0.5, floor), _power(own, -0.5, floor)
    return inverse @ _power(root @ reference @ root, 0.5, 0.0) @ inverse


def _power(matrix: np.ndarray, exponent: float, floor: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, floor) ** exponent) @ vectors.T

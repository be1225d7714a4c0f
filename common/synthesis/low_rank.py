"""A low-rank correlation matrix from one that symmetric noise of known size hides.

Noise of standard deviation s in each entry of a d x d symmetric matrix has eigenvalues within
2 s sqrt(d); a component of size t > s sqrt(d) is seen at t + s^2 d / t, in a direction whose
squared cosine with its own is 1 - s^2 d / t^2. So what lies within the edge is dropped, and the
rest shrunk to sqrt(seen^2 - 4 s^2 d), which has the least expected squared error.

References
----------
Benaych-Georges, Nadakuditi 2011, doi:10.1016/j.aim.2011.02.007; Donoho, Gavish, Johnstone 2018,
doi:10.1214/17-AOS1601.
"""

import numpy as np

ROUNDS = 4  # of filling in the diagonal
MOST = 0.95  # of a gene's variance that components explain


def loadings(correlation: np.ndarray, noise_sd: float) -> np.ndarray:
    """Loadings L (d, rank): L L^T plus a diagonal is the correlation matrix.

    Parameters
    ----------
    correlation
        (d, d) symmetric; the diagonal is not looked at.
    noise_sd
        Of each entry; 0: what is positive definite of the matrix, whole.
    """
    d = len(correlation)
    matrix = correlation.copy()
    if not noise_sd:
        np.fill_diagonal(matrix, 1.0)
        values, vectors = np.linalg.eigh(matrix)
        found = vectors * np.sqrt(np.maximum(values, 0))
        return found / np.linalg.norm(found, axis=1, keepdims=True)
    edge = 2 * noise_sd * np.sqrt(d)
    np.fill_diagonal(matrix, 0.0)
    found = np.zeros((d, 0))
    for _ in range(ROUNDS):
        values, vectors = np.linalg.eigh(matrix)
        above = values > edge
        sizes = np.sqrt(values[above] ** 2 - edge**2)
        found = vectors[:, above] * np.sqrt(sizes)
        explained = (found**2).sum(axis=1)
        np.fill_diagonal(matrix, np.minimum(explained, MOST))
    return capped(found)


def capped(found: np.ndarray) -> np.ndarray:
    """Loadings (d, rank) that leave each gene a part of its own."""
    explained = (found**2).sum(axis=1, keepdims=True)
    return found * np.sqrt(MOST / np.maximum(explained, MOST))

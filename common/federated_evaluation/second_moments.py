"""Products of coordinates: batches of one mean that differ in spread or correlation differ here."""

import numpy as np


def product_features(standard: np.ndarray) -> np.ndarray:
    """All products of two coordinates of each cell.

    Parameters
    ----------
    standard
        (n_cells, n_dims), about the type's mean.

    Returns
    -------
    (n_cells, n_dims (n_dims + 1) / 2), those of two different coordinates times the root of 2: the
    squared distance of two cells' products is that of their matrices in the Frobenius norm.
    """
    first, second = np.triu_indices(standard.shape[1])
    weights = np.where(first == second, 1.0, np.sqrt(2))
    return standard[:, first] * standard[:, second] * weights

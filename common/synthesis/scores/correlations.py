"""How the correlations between genes differ."""

import numpy as np


def correlations(x: np.ndarray) -> np.ndarray:
    """Pearson's correlations (n_genes, n_genes) of ``x`` (n, n_genes); 0 with a constant gene."""
    mean = x.mean(axis=0)
    centred = x - mean
    norms = np.sqrt(np.square(centred).sum(axis=0))
    varies = norms > 1e-9 * np.sqrt(len(x)) * (1 + np.abs(mean))
    unit = np.where(varies, centred / np.where(varies, norms, 1.0), 0.0)
    return unit.T @ unit


def correlation_mae(real: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference over all pairs of genes: the upper triangle, without the diagonal.

    Parameters
    ----------
    real, other
        (n, n_genes) and (m, n_genes), two genes at least.
    """
    pairs = np.triu_indices(real.shape[1], k=1)
    return float(np.abs(correlations(real)[pairs] - correlations(other)[pairs]).mean())

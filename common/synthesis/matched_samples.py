"""Samples whose own moments are those asked for: chance adds nothing to a small cohort's noise.

Deviations of all records from their class means are made uncorrelated with the classes, and latent
factors and each gene's own part white and of unit variance, before they are scaled. What is private
went into the moments; this is free.
"""

import numpy as np


def deviations(loadings: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Deviations of unit variance and correlation L L^T + diagonal: float64 (n, n_genes).

    Parameters
    ----------
    loadings
        L, (n_genes, rank), of rows no longer than 1.
    classes
        Of the records, int64 (n,).
    rng
        What is drawn of moments that are released has no privacy to keep.
    """
    n, (n_genes, rank) = len(classes), loadings.shape
    factors = rng.standard_normal((n, rank))
    own = rng.standard_normal((n, n_genes))
    for c in np.unique(classes):
        of_class = classes == c
        # One record of a class alone stays as it is drawn.
        if of_class.sum() > 1:
            factors[of_class] -= factors[of_class].mean(axis=0)
            own[of_class] -= own[of_class].mean(axis=0)
    if 0 < rank < n // 2:
        values, vectors = np.linalg.eigh(factors.T @ factors / n)
        factors = factors @ (vectors / np.sqrt(values)) @ vectors.T
        own -= factors @ (factors.T @ own / n)
    if n > 2:
        own /= np.sqrt((own**2).mean(axis=0))
    rest = np.sqrt(np.maximum(1 - (loadings**2).sum(axis=1), 0))
    return factors @ loadings.T + own * rest

"""Samples whose own moments are those asked for: chance adds nothing to a small cohort's noise.

Deviations of all records from their class means are made uncorrelated with the classes, and latent
factors and each gene's own part white and of unit variance, before they are scaled. What is private
went into the moments; this is free.

Of genes that are independent and more than the records, a classifier finds a direction in which
chance parts any classes, and trusts it more than what noise has left of the means. So `Few` has
genes vary together, in fewer directions than records, none of which makes up for what varies along
those that tell classes apart. The price are correlations of chance, 1 / sqrt(directions).
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Few:
    """In how few directions genes vary by themselves.

    Parameters
    ----------
    rank
        Directions over records, below 1.
    sd
        Of the genes, (n_genes,): what deviations will be scaled by.
    axes
        Orthonormal, of scaled values, (n_genes, n_axes): along these they vary freely.
    """

    rank: float
    sd: np.ndarray
    axes: np.ndarray


def deviations(
    loadings: np.ndarray,
    classes: np.ndarray,
    rng: np.random.Generator,
    few: Few | None = None,
) -> np.ndarray:
    """Deviations of unit variance and correlation L L^T + diagonal: float64 (n, n_genes).

    Parameters
    ----------
    loadings
        L, (n_genes, rank), of rows no longer than 1.
    classes
        Of the records, int64 (n,).
    rng
        What is drawn of moments that are released has no privacy to keep.
    few
        Directions of the genes' own parts; by default as many as records.
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
    if few:
        own = _in_few(own, factors, classes, rng, few)
    rest = np.sqrt(np.maximum(1 - (loadings**2).sum(axis=1), 0))
    return factors @ loadings.T + own * rest


def _in_few(
    own: np.ndarray, factors: np.ndarray, classes: np.ndarray, rng: np.random.Generator, few: Few
) -> np.ndarray:
    """Of deviations, what is not along the axes in few directions: float64 (n, n_genes)."""
    n, n_genes = own.shape
    along = (own * few.sd) @ few.axes
    known = np.hstack([np.eye(classes.max() + 1)[classes], factors, along])
    rank = round(few.rank * n)
    if not 0 < rank <= n - known.shape[1]:
        return own
    weights = rng.standard_normal((n, rank))
    weights -= known @ np.linalg.lstsq(known, weights, rcond=None)[0]
    genes = rng.standard_normal((rank, n_genes))
    genes /= np.sqrt((genes**2).sum(axis=0))
    rest = np.linalg.qr(weights)[0] @ genes * np.sqrt(n) * few.sd
    return (along @ few.axes.T + rest - rest @ few.axes @ few.axes.T) / few.sd

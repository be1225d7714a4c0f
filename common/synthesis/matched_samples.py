"""Samples whose own moments are those asked for: chance adds nothing to a small cohort's noise.

Deviations of all records from their class means are made uncorrelated with the classes, and latent
factors and each gene's own part white and of unit variance, before they are scaled. What is private
went into the moments; this is free.

Records outnumbered by genes that vary on their own are parted by chance in any way, which a
classifier trusts more than what noise has left of class means. `mirrored` records come in pairs,
alike along the axes that tell classes apart and opposite in all else (antithetic variates): of a
linear classifier's scores all else adds some whose mean over a pair is 0, so a loss that is convex
in them is least without any (Jensen). Cutting values at bounds would break that, so genes are
shrunk into them as a whole; it holds on the scale of the deviations, not after exp or rounding.
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


def mirrored(away: np.ndarray, classes: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Deviations in pairs of opposites, but for what is along the axes: float64 (n, n_genes).

    Of an odd number the last are three that add up to zero. A class's only record has no opposite:
    it stays as it is, and a classifier does see its chance.

    Parameters
    ----------
    away
        Independent deviations, of means 0 in each class, (n, n_genes): one of each pair is kept.
    classes
        Of the records, int64 (n,).
    axes
        Orthonormal, (n_genes, n_axes).
    """
    if not len(away):
        return away
    along = away @ axes
    rest = away - along @ axes.T
    spread = along.std(axis=0)
    for c in np.unique(classes):
        rows = np.flatnonzero(classes == c)
        if len(rows) == 1:
            continue
        threes = rows[-3:] if len(rows) % 2 else rows[:0]
        ones, others = rows[: len(rows) - len(threes)].reshape(-1, 2).T
        along[others], rest[others] = along[ones], -rest[ones]
        if len(threes):
            first, second, third = threes
            along[[second, third]] = along[first]
            # On average of the same length, were the first two independent.
            half, high = -rest[first] / 2, np.sqrt(0.75) * rest[second]
            rest[second], rest[third] = half + high, half - high
        along[rows] -= along[rows].mean(axis=0)
    found = along.std(axis=0)
    along *= np.divide(spread, found, out=np.ones_like(found), where=found > 1e-9 * spread)
    return along @ axes.T + rest


def shrunk_into(middle: np.ndarray, away: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values within bounds, (n, n_genes): a gene whose deviations do not fit has smaller ones.

    Parameters
    ----------
    middle
        (n_genes,): what deviations are from; it is cut at the bounds.
    away
        Deviations, (n, n_genes).
    low, high
        Bounds.
    """
    middle = np.clip(middle, low, high)
    most = np.abs(away).max(axis=0, initial=0.0)
    room = np.minimum(middle - low, high - middle)
    part = np.divide(room, most, out=np.ones_like(room), where=most > room)
    return np.clip(middle + away * part, low, high)

"""Bins of each gene's values: where they begin, who is in them, and values drawn from them.

None of it looks at records but :func:`bin_of`: edges are public or of earlier releases, and so is
the shape within a bin.
"""

import numpy as np
from scipy.special import ndtr, ndtri

from common.synthesis.schema import Schema


def grid_edges(schema: Schema, n_bins: int) -> np.ndarray:
    """Inner edges of equal bins over the public bounds, (n_genes, n_bins - 1)."""
    inner = np.linspace(schema.low, schema.high, n_bins + 1)[1:-1]
    return np.tile(inner, (schema.n_genes, 1))


def quantile_edges(center: np.ndarray, sds: np.ndarray, n_bins: int) -> np.ndarray:
    """Quantiles of the Gaussian with released moments, (n_genes, n_bins - 1)."""
    return center[:, None] + sds[:, None] * ndtri(np.arange(1, n_bins) / n_bins)


def bin_of(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Index of the bin of each value, (n, n_genes): an edge belongs to the bin above it."""
    return sum((values >= edges[:, b]).astype(np.int64) for b in range(edges.shape[1]))


def uniform_within(
    bins: np.ndarray, edges: np.ndarray, schema: Schema, rng: np.random.Generator
) -> np.ndarray:
    """Values spread evenly over their bins, (n, n_genes)."""
    low, high = _ends(bins, edges, schema.low, schema.high)
    return low + (high - low) * rng.random(bins.shape)


def gaussian_within(
    bins: np.ndarray,
    edges: np.ndarray,
    center: np.ndarray,
    sds: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Values of the Gaussian with released moments, cut to their bins, (n, n_genes)."""
    low, high = _ends(bins, ndtr((edges - center[:, None]) / sds[:, None]), 0.0, 1.0)
    levels = low + (high - low) * rng.random(bins.shape)
    return center + sds * ndtri(np.clip(levels, 1e-9, 1 - 1e-9))


def counts_within(
    bins: np.ndarray, edges: np.ndarray, schema: Schema, rng: np.random.Generator
) -> np.ndarray:
    """Counts that fall off in their bins as 1 / x^2, whole, (n, n_genes)."""
    low, high = _ends(bins, edges, 0.0, float(np.floor(schema.high)) + 1)
    first = np.maximum(low, 1.0)
    inverse = 1 / first - rng.random(bins.shape) * (1 / first - 1 / np.maximum(high, first))
    # A bin's upper end may be reached by rounding.
    return np.where(low < 1, 0.0, np.minimum(np.floor(1 / inverse), high - 1))


def _ends(
    bins: np.ndarray, edges: np.ndarray, low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of each bin, cut to the bounds."""
    n_genes = len(edges)
    ends = np.clip(edges, low, high)
    ends = np.concatenate([np.full((n_genes, 1), low), ends, np.full((n_genes, 1), high)], axis=1)
    genes = np.arange(n_genes)
    return ends[genes, bins], ends[genes, bins + 1]

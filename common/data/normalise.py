"""Counts to log1p CP10k, chunk by chunk, sparse throughout."""

import numpy as np
import scipy.sparse as sp

TARGET_SUM = 1e4


def library_sizes(counts: sp.csr_matrix) -> np.ndarray:
    """Total counts of each cell, (n_cells,), float64."""
    return np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()


def cp10k(counts: sp.csr_matrix, library_size: np.ndarray) -> sp.csr_matrix:
    """Counts per ten thousand, float64, of the same sparsity; a cell without counts stays zero.

    Parameters
    ----------
    counts
        (n_cells, n_genes).
    library_size
        (n_cells,), over the agreed vocabulary, which may be wider than these genes.
    """
    factor = np.divide(
        TARGET_SUM, library_size, out=np.zeros(len(library_size)), where=library_size > 0
    )
    data = counts.data * np.repeat(factor, np.diff(counts.indptr))
    return sp.csr_matrix((data, counts.indices, counts.indptr), shape=counts.shape)


def log1p_cp10k(counts: sp.csr_matrix, library_size: np.ndarray) -> sp.csr_matrix:
    """``log1p`` of :func:`cp10k`, float32."""
    scaled = cp10k(counts, library_size)
    scaled.data = np.log1p(scaled.data).astype(np.float32)
    return scaled

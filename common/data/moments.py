"""Per-gene moments: what a site adds up, and what the sums over sites give."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from common.data.normalise import cp10k, library_sizes


def site_sums(chunks: Iterable[sp.csr_matrix], n_genes: int) -> dict[str, np.ndarray]:
    """One site's contribution to :class:`GeneMoments`.

    Parameters
    ----------
    chunks
        Counts of consecutive cells, each (n_cells_of_chunk, n_genes).
    n_genes
        Genes of the agreed vocabulary.

    Returns
    -------
    sums
        ``n_cells`` and four arrays (n_genes,), as :data:`common.wire.PHASES` declares them.
    """
    names = ("sum_log", "sum_log_squared", "sum_cp10k", "sum_cp10k_squared")
    sums = {name: np.zeros(n_genes) for name in names}
    n_cells = 0
    for counts in chunks:
        n_cells += counts.shape[0]
        expression = cp10k(counts, library_sizes(counts))
        log = np.log1p(expression.data)
        genes = expression.indices.astype(np.intp)
        for name, values in zip(
            names, (log, log**2, expression.data, expression.data**2), strict=True
        ):
            sums[name] += np.bincount(genes, weights=values, minlength=n_genes)
    return {"n_cells": np.float64(n_cells), **sums}


@dataclass(frozen=True)
class GeneMoments:
    """Moments of expression over every cell of every site.

    Parameters
    ----------
    n_cells
        Cells summed over.
    sum_log, sum_log_squared
        Of log1p CP10k, (n_genes,).
    sum_cp10k, sum_cp10k_squared
        Of CP10k, (n_genes,).
    """

    n_cells: int
    sum_log: np.ndarray
    sum_log_squared: np.ndarray
    sum_cp10k: np.ndarray
    sum_cp10k_squared: np.ndarray

    def log_mean_sd(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (n - 1) of log1p CP10k; a constant gene has sd 1."""
        mean, variance = _mean_variance(self.sum_log, self.sum_log_squared, self.n_cells)
        sd = np.sqrt(variance)
        # CP10k is summed more finely: it tells a constant gene from the rounding of sums of logs.
        _, cp10k_variance = self.cp10k_mean_variance()
        return mean, np.where((sd > 0) & (cp10k_variance > 0), sd, 1.0)

    def cp10k_mean_variance(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance (n - 1) of CP10k."""
        return _mean_variance(self.sum_cp10k, self.sum_cp10k_squared, self.n_cells)


def _mean_variance(total: np.ndarray, squares: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    mean = total / n
    variance = (squares - n * mean**2) / max(n - 1, 1)
    # A gene that is constant leaves rounding of either sign.
    floor = 1e-12 * squares / n
    return mean, np.where(variance > floor, variance, 0.0)

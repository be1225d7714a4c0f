"""Public bin edges of log1p CP10k, and a site's cells as sparse bin codes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from common.errors import ConfigError, InputError

# Zero has a bin of its own: one count of a cell with 10^10 still lies above it.
LEAST_EXPRESSION = 2.0**-20
# Some 600 CP10k; what is above shares the last bin.
TOP = 6.4
# A code is one byte, and 0 is the zero bin.
MAX_EDGES = 255


def public_grid(n_edges: int = 32) -> np.ndarray:
    """Bin edges that need no data: just above zero, then evenly up to 6.4 log1p CP10k.

    Returns
    -------
    grid
        Rising, (n_edges,), float32. Values below the first edge, zeros, are bin 0, and a value on
        an edge lies above it, so that "below the edge" is XGBoost's "goes left".

    Raises
    ------
    ConfigError
        Not between 1 and 255 edges.
    """
    if not 1 <= n_edges <= MAX_EDGES:
        raise ConfigError(f"{n_edges} bin edges: a code is one byte; give 1 to {MAX_EDGES}")
    grid = np.arange(n_edges) * (TOP / n_edges)
    grid[0] = LEAST_EXPRESSION
    return grid.astype(np.float32)


@dataclass(frozen=True)
class BinEdges:
    """The bins of every gene: which edges of one grid it keeps.

    Bins above zero are numbered through all genes, gene by gene and rising: *flat* bins. The zero
    bin is never stored or sent; it is what the others leave of a node's total.

    Parameters
    ----------
    grid
        Rising, (n_grid,), float32, log1p CP10k.
    kept
        Bool (n_genes, n_grid). A gene that keeps none is never split on and costs no traffic.
    """

    grid: np.ndarray
    kept: np.ndarray

    @classmethod
    def alike(cls, n_genes: int, n_edges: int = 32) -> "BinEdges":
        """The same edges for every gene, from :func:`public_grid` alone."""
        return cls(public_grid(n_edges), np.ones((n_genes, n_edges), dtype=bool))

    @property
    def n_genes(self) -> int:
        """Genes, kept edges or not."""
        return len(self.kept)

    @cached_property
    def n_bins(self) -> int:
        """Flat bins: those above zero of all genes together."""
        return int(np.count_nonzero(self.kept))

    @cached_property
    def starts(self) -> np.ndarray:
        """Each gene's first flat bin, and the end of the last, (n_genes + 1,), int32."""
        return np.concatenate([[0], np.cumsum(self.kept.sum(axis=1))]).astype(np.int32)

    @cached_property
    def gene_and_threshold(self) -> tuple[np.ndarray, np.ndarray]:
        """Each flat bin's gene, int32, and its lower edge, float32, (n_bins,)."""
        gene, edge = np.nonzero(self.kept)
        return gene.astype(np.int32), self.grid[edge]

    def of(self, genes: np.ndarray) -> "BinEdges":
        """The bins of some genes alone."""
        return BinEdges(self.grid, self.kept[genes])

    def codes(self, gene: np.ndarray, expression: np.ndarray) -> np.ndarray:
        """Number of the gene's edges that are not above each value, uint8.

        Parameters
        ----------
        gene, expression
            Of one shape.
        """
        codes_of_grid = np.zeros((self.n_genes, len(self.grid) + 1), dtype=np.uint8)
        np.cumsum(self.kept, axis=1, dtype=np.uint8, out=codes_of_grid[:, 1:])
        return codes_of_grid[gene, np.searchsorted(self.grid, expression, side="right")]

    def bin_cells(self, expression: sp.csr_matrix) -> sp.csr_matrix:
        """A site's cells as bin codes, sparse: five bytes for each value above zero.

        Parameters
        ----------
        expression
            log1p CP10k, (n_cells, n_genes).

        Returns
        -------
        codes
            uint8, without stored zeros; its index arrays are the matrix's own where they can be.

        Raises
        ------
        InputError
            Other genes than the edges', or a value that is negative or not finite.
        """
        _check(expression, self.n_genes)
        codes = self.codes(expression.indices, expression.data)
        if not codes.all():
            stored = expression.indices.copy(), expression.indptr.copy()
            binned = sp.csr_matrix((codes, *stored), shape=expression.shape)
            binned.eliminate_zeros()
            return binned
        index = expression.indices, expression.indptr
        return sp.csr_matrix((codes, *index), shape=expression.shape)


def _check(expression: sp.csr_matrix, n_genes: int) -> None:
    if expression.shape[1] != n_genes:
        raise InputError(
            f"{expression.shape[1]} genes, and bin edges for {n_genes}: give the agreed genes"
        )
    if expression.nnz and not (expression.data.min() >= 0 and np.isfinite(expression.data.max())):
        raise InputError("expression has negative or non-finite values: give log1p CP10k")


def site_bin_counts(expression: sp.csr_matrix, grid: np.ndarray) -> np.ndarray:
    """What one site adds to :func:`chosen_edges`: cells in each bin above zero, whole numbers.

    Parameters
    ----------
    expression
        log1p CP10k, (n_cells, n_genes).

    Returns
    -------
    counts
        int64 (n_genes, n_grid).

    Raises
    ------
    InputError
        A value is negative or not finite.
    """
    n_genes = expression.shape[1]
    _check(expression, n_genes)
    bins = np.searchsorted(grid, expression.data, side="right")
    flat = expression.indices.astype(np.int64) * (len(grid) + 1) + bins
    counts = np.bincount(flat, minlength=n_genes * (len(grid) + 1))
    return counts.reshape(n_genes, -1)[:, 1:]


def chosen_edges(
    counts: np.ndarray, grid: np.ndarray, n_edges: int = 16, min_cells: int = 1
) -> BinEdges:
    """Fewer edges of the same use: about as many cells in each of a gene's bins above zero.

    A level of trees costs traffic for every bin, most of which hold no cell; this costs one sum
    of n_genes x n_grid counts, once.

    Parameters
    ----------
    counts
        :func:`site_bin_counts` summed over sites.
    n_edges
        At most so many for a gene.
    min_cells
        Cells of all sites that each bin above zero must hold; a gene expressed in fewer keeps no
        edge.
    """
    least = max(min_cells, 1)
    kept = np.zeros(counts.shape, dtype=bool)
    # Cells at or above the edge, and below it in the bin that it would close.
    left = counts.sum(axis=1)
    kept[:, 0] = left >= least
    in_bin = np.zeros_like(left)
    share = _share(left, n_edges - 1, least)
    for edge in range(1, counts.shape[1]):
        in_bin += counts[:, edge - 1]
        left = left - counts[:, edge - 1]
        used = kept.sum(axis=1)
        closed = (in_bin >= share) & (left >= least) & (used > 0) & (used < n_edges)
        kept[closed, edge] = True
        in_bin[closed] = 0
        # Of a bin that holds more than its share, the next ones have less to share.
        share[closed] = _share(left, n_edges - used - 1, least)[closed]
    return BinEdges(grid, kept)


def _share(cells: np.ndarray, n_further: np.ndarray | int, least: int) -> np.ndarray:
    """Cells for the next bin, if so many bins may follow it."""
    return np.maximum(-(-cells // np.maximum(n_further + 1, 1)), least)

"""A matrix of counts in blocks of cells: checked, brought back to counts, genes picked."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy import sparse

from common.data.counts import (
    MEND,
    CountsVerdict,
    place,
    require_finite,
    require_finite_and_positive,
)
from common.data.depth import TOLERANCE, distance, rescale
from common.data.evidence import DUST
from common.data.h5ad import Matrix
from common.errors import CountsError


def stream_counts(
    matrix: Matrix,
    verdict: CountsVerdict,
    *,
    cells: Sequence[str],
    genes: Callable[[], Sequence[str]],
    sizes: np.ndarray | None = None,
    columns: np.ndarray | None = None,
    chunk_size: int = 4096,
) -> Iterator[tuple[int, sparse.csr_matrix]]:
    """Counts of consecutive cells, every value of every gene checked on the way.

    Parameters
    ----------
    cells
        Names of all cells, ``(n_cells,)``.
    genes
        Gives the names of the matrix's genes, asked for only when a message needs one.
    sizes
        Library sizes, ``(n_cells,)``, where the verdict has a ``library_key``.
    columns
        Genes to give, in this order, each at most once; -1 stands for a gene of zeros. None = all.

    Yields
    ------
    first, counts
        Index of the first cell; float32 ``(<= chunk_size, n_columns)``.

    Raises
    ------
    CountsError
        A value is NaN, infinite, negative, or not a count of the verdict's kind.
    """
    pick = Columns(columns, matrix.shape[1])
    for first, block in matrix.blocks(chunk_size):
        rows = slice(first, first + block.shape[0])
        names = cells[rows]
        refuse = require_finite if verdict.kind == "values" else require_finite_and_positive
        refuse(block, source=verdict.source, cells=names, genes=genes)
        block.eliminate_zeros()
        if verdict.library_key is not None:
            block = _undone(block, verdict, sizes[rows], names, genes)
        elif verdict.kind == "integer":
            block = _rounded(block, verdict, names, genes)
        yield first, pick(block)


def _rounded(
    block: sparse.csr_matrix,
    verdict: CountsVerdict,
    cells: Sequence[str],
    genes: Callable[[], Sequence[str]],
) -> sparse.csr_matrix:
    if block.dtype.kind in "iub":
        return block
    whole = np.rint(block.data)
    off = np.abs(block.data - whole) > DUST
    if off.any():
        where = place(block, off, cells, genes)
        raise CountsError(
            f"{verdict.source} holds {block.data[off][0]:.4g} at {where}, "
            f"while the cells looked at first hold whole numbers: {MEND}, for all cells alike."
        )
    return sparse.csr_matrix((whole, block.indices, block.indptr), block.shape)


def _undone(
    block: sparse.csr_matrix,
    verdict: CountsVerdict,
    sizes: np.ndarray,
    cells: Sequence[str],
    genes: Callable[[], Sequence[str]],
) -> sparse.csr_matrix:
    counts = rescale(block, sizes, verdict.target_sum, logged=verdict.kind == "log1p")
    off = distance(counts) > TOLERANCE
    if off.any():
        raise CountsError(
            f"{verdict.source}, undone with obs[{verdict.library_key!r}], gives "
            f"{counts[off][0]:.4g} instead of a whole number at {place(block, off, cells, genes)}: "
            f"the column is not that cell's library size; correct it, or {MEND}."
        )
    return sparse.csr_matrix((np.rint(counts), block.indices, block.indptr), block.shape)


class Columns:
    """Picks genes of a block by one look-up per stored value.

    Parameters
    ----------
    columns
        See ``stream_counts``.
    n_genes
        Genes of the blocks to come.
    """

    def __init__(self, columns: np.ndarray | None, n_genes: int):
        self._to: np.ndarray | None = None
        if columns is None:
            return
        columns = np.asarray(columns, dtype=np.int64)
        real = np.flatnonzero(columns >= 0)
        if columns.min(initial=0) < -1 or columns.max(initial=-1) >= n_genes:
            raise ValueError(f"columns must lie in -1..{n_genes - 1}")
        if len(np.unique(columns[real])) != len(real):
            raise ValueError("a column is asked for twice")
        self._n = len(columns)
        self._to = np.full(n_genes, -1, dtype=np.int32)
        self._to[columns[real]] = real

    def __call__(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """The picked genes of ``(n_cells, n_genes)``, float32 ``(n_cells, n_columns)``."""
        if self._to is None:
            return block.astype(np.float32)
        to = self._to[block.indices]
        keep = to >= 0
        before = np.concatenate([[0], np.cumsum(keep, dtype=np.int32)])
        # A row's columns stay in the file's order: nothing that follows needs them sorted.
        return sparse.csr_matrix(
            (block.data[keep].astype(np.float32), to[keep], before[block.indptr]),
            shape=(block.shape[0], self._n),
        )

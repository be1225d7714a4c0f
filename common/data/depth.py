"""Counts back from counts per N, logged or not, by the library size of every cell."""

import re
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    import pandas as pd

# A restored count may be so far from a whole number: values stored with three decimals reach 0.09.
TOLERANCE = 0.1

_STANDARD_TARGETS = (1e4, 1e6, 1e5, 1e3)
# Names of a library-size column, without punctuation: scanpy, Seurat, scater, 10x, older scripts.
_NAMES = re.compile(
    r"n?(total)?(counts?|umis?)(total)?|ncount[a-z0-9]+|totalcounts?|sum|total|"
    r"lib(rary)?sizes?[a-z]*"
)
SIZE_COLUMNS = "n_counts, total_counts, nCount_RNA, nUMI, n_umi, library_size"


def library_sizes(obs: "pd.DataFrame") -> dict[str, np.ndarray]:
    """The obs columns that may hold library sizes: name to float64 ``(n_cells,)``.

    Known by their names; a column with a missing, infinite or negative value is left out.
    """
    sizes = {}
    for key in obs.columns:
        bare = re.sub(r"[^a-z0-9]", "", str(key).casefold())
        if not _NAMES.fullmatch(bare) or obs[key].dtype.kind not in "iuf":
            continue
        values = obs[key].to_numpy(dtype=np.float64)
        if np.isfinite(values).all() and (values >= 0).all():
            sizes[str(key)] = values
    return sizes


def rescale(
    block: sparse.csr_matrix, sizes: np.ndarray, target_sum: float, *, logged: bool
) -> np.ndarray:
    """The counts behind ``block.data``, before rounding, float64.

    Parameters
    ----------
    block
        Counts per ``target_sum``, or log1p of them, ``(n_cells, n_genes)``.
    sizes
        Library sizes of the block's cells, counts, ``(n_cells,)``.
    """
    values = block.data.astype(np.float64)
    if logged:
        np.expm1(values, out=values)
    return values * np.repeat(sizes / target_sum, np.diff(block.indptr))


def distance(counts: np.ndarray) -> np.ndarray:
    """How far each value is from the nearest positive whole number: no count may vanish."""
    return np.abs(counts - np.maximum(np.rint(counts), 1))


def find_target(
    block: sparse.csr_matrix, sizes: np.ndarray, *, logged: bool
) -> tuple[float | None, float]:
    """The N for which ``sizes`` turns counts per N into whole numbers.

    Parameters
    ----------
    block
        Cells without explicit zeros, ``(n_cells, n_genes)``.

    Returns
    -------
    target_sum, worst
        N, or None if no candidate fits; and the largest distance from a whole number under N, or
        under the candidate that came nearest.
    """
    nearest = np.inf
    for target in _candidates(block, sizes, logged=logged):
        counts = rescale(block, sizes, target, logged=logged)
        worst = float(distance(counts).max(initial=0.0))
        # N too small by a whole factor also gives whole numbers, but all multiples of that factor.
        if worst <= TOLERANCE and np.gcd.reduce(np.rint(counts).astype(np.int64)) == 1:
            return target, worst
        if worst > TOLERANCE:
            nearest = min(nearest, worst)
    return None, nearest


def _candidates(block: sparse.csr_matrix, sizes: np.ndarray, *, logged: bool) -> list[float]:
    """Plausible N, ascending."""
    values = rescale(block, np.ones(len(sizes)), 1.0, logged=logged)
    filled = np.diff(block.indptr) > 0
    starts = block.indptr[:-1][filled]
    known = {*_STANDARD_TARGETS, float(np.median(sizes)), float(sizes.mean())}
    # A cell's smallest value is most often a count of one; all genes together make up N.
    guesses = [float(np.median(np.add.reduceat(values, starts)))]
    if np.ptp(sizes) > 0:
        guesses.append(float(np.median(np.minimum.reduceat(values, starts) * sizes[filled])))
    new = {g for g in guesses if not any(abs(g - k) <= 2e-3 * k for k in known)}
    return sorted(c for c in known | new if c > 0)

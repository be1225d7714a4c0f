"""Which genes vary together: one release of the products of all pairs of genes.

Each record's standardised deviations from its class mean are brought to length B in whole numbers,
u; the products u_j u_k, j < k, are exact. Their L2 norm is at most B^2 / sqrt(2), since all pairs
both ways and the squares together have norm |u|^2. A donor adds the mean over classes of the means
of their cells' products, whose norm is no larger, truncated to whole numbers.
"""

import math

import numpy as np

from common.errors import ConfigError
from common.synthesis.contributions import BELOW_ONE, LEAST_LENGTH, Pairs, without
from common.synthesis.ratio_means import row_squares

LENGTH = 2**13  # B in grid steps; B^2 over 2^24 units is below 2^53: exact in float64
L2 = LENGTH**2 / math.sqrt(2)
MOST_GENES = 4000  # 8 million pairs of genes


def n_products(n_genes: int) -> int:
    """How many pairs of genes.

    Raises
    ------
    ConfigError
        Too many to release.
    """
    if n_genes > MOST_GENES:
        raise ConfigError(
            f"{n_genes} genes have {n_genes * (n_genes - 1) // 2:,} pairs, too many for a "
            f"covariance; choose at most {MOST_GENES} genes, or give it no share of the budget"
        )
    return n_genes * (n_genes - 1) // 2


def products(rows: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Sums over units of the products of all pairs of genes: int64 (n_products,).

    Parameters
    ----------
    rows
        Standardised deviations of the kept records, float64 (n_kept, n_genes).
    pairs
        Whose they are.
    """
    norms = np.sqrt(row_squares(rows))
    # Squares of shorter ones have lost their digits.
    rows, norms = without(~np.isfinite(norms) | (norms < LEAST_LENGTH), rows, norms)
    # Toward zero: never longer than B.
    whole = np.trunc(rows * (BELOW_ONE * LENGTH / norms)[:, None])
    upper = np.triu_indices(rows.shape[1], 1)
    if len(rows) == pairs.n_units:
        # Float64 holds whole numbers below 2^53: BLAS adds them in any order to the same sum.
        return (whole.T @ whole)[upper].astype(np.int64)
    total = np.zeros(len(upper[0]), dtype=np.int64)
    n_pairs = pairs.pairs_of_unit
    for unit in range(pairs.n_units):
        mean = 0.0
        for pair in np.flatnonzero(pairs.pair_unit == unit):
            own = whole[pairs.starts[pair] : pairs.starts[pair] + pairs.sizes[pair]]
            mean = mean + own.T @ own / (pairs.sizes[pair] * n_pairs[unit])
        # A record's length is 2^-40 below B: room for what these divisions round.
        total += np.trunc(mean[upper]).astype(np.int64)
    return total


def correlations(
    total: np.ndarray, noise_sd: float, n_units: float, n_genes: int
) -> tuple[np.ndarray, float]:
    """The correlation matrix (n_genes, n_genes) with ones on the diagonal, and its noise's sd."""
    unit = n_genes / (n_units * LENGTH**2)
    matrix = np.zeros((n_genes, n_genes))
    upper = np.triu_indices(n_genes, 1)
    matrix[upper] = total * unit
    matrix += matrix.T
    np.fill_diagonal(matrix, 1.0)
    return matrix, noise_sd * unit

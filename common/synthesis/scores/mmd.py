"""Maximum mean discrepancy: whether two cohorts are of one distribution."""

import numpy as np

from common.synthesis.scores.space import at_most, standardised

# Of each cohort: all pairs are in memory.
MOST = 2000
SETTINGS = (
    f"genes standardised by the real cohort, RBF kernel exp(-d^2 / (2 h^2)), h the median distance "
    f"of the real and the other cohort's records, at most {MOST} of each; unbiased"
)


def mmd2(real: np.ndarray, other: np.ndarray, *, seed: int = 0) -> float:
    """The squared discrepancy, unbiased: about 0, and at times below, where they are alike.

    Parameters
    ----------
    real, other
        (n, n_genes) and (m, n_genes), two records at least each.
    seed
        Of the records that are taken of more than ``MOST``.

    Returns
    -------
    MMD^2 up to 2; 0 where all records are equal.

    References
    ----------
    Gretton et al. 2012, JMLR 13:723-773, equation (3); the median heuristic: their section 8.
    """
    a = at_most(standardised(real, real), MOST, seed)
    b = at_most(standardised(other, real), MOST, seed)
    return unbiased_mmd2(a, b)


def unbiased_mmd2(a: np.ndarray, b: np.ndarray) -> float:
    """The same of records as they are, (n, n_dims) and (m, n_dims)."""
    from sklearn.metrics import pairwise_distances

    n, m = len(a), len(b)
    squared = pairwise_distances(np.concatenate([a, b]), metric="sqeuclidean")
    # Rounding leaves records at a distance from themselves.
    np.fill_diagonal(squared, 0.0)
    h2 = float(np.median(squared[np.triu_indices(n + m, k=1)]))
    if h2 == 0:
        h2 = float(squared.mean())
    if h2 == 0:
        return 0.0
    kernel = np.exp(squared / (-2 * h2), out=squared)
    within_a = (kernel[:n, :n].sum() - n) / (n * (n - 1))
    within_b = (kernel[n:, n:].sum() - m) / (m * (m - 1))
    return float(within_a + within_b - 2 * kernel[:n, n:].mean())

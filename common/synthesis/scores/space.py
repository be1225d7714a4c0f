"""The spaces in which cohorts are compared, and samples of equal size."""

import numpy as np

# As `syncytium evaluate` takes of corrected expression.
N_PCS = 20


def standardised(x: np.ndarray, like: np.ndarray) -> np.ndarray:
    """``x`` (n, n_genes) in standard deviations from ``like``'s mean, gene by gene.

    A gene that is constant in ``like`` is only centred.
    """
    mean, sd = like.mean(axis=0), like.std(axis=0)
    return (x - mean) / np.where(sd > 1e-12 * (1 + np.abs(mean)), sd, 1.0)


def principal_components(x: np.ndarray, seed: int, n_pcs: int = N_PCS) -> np.ndarray:
    """Scores (n, n_components) on the first principal components; ``seed`` starts ARPACK.

    All centred columns where there are no more than ``n_pcs``.
    """
    from sklearn.decomposition import PCA

    n_components = min(n_pcs, len(x) - 1)
    if x.shape[1] <= n_components:
        return x - x.mean(axis=0)
    return PCA(n_components, svd_solver="arpack", random_state=seed).fit_transform(x)


def at_most(x: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Rows of ``x``; at random ``n`` of them where there are more."""
    if len(x) <= n:
        return x
    return x[np.sort(np.random.default_rng(seed).choice(len(x), n, replace=False))]

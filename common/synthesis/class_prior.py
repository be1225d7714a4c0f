"""Class means of noisy ones: what all genes tell of how classes differ, and each gene's share.

y_j (n_classes,) are the noisy deviations of gene j from a centre that itself has an error b_j:

    y_j = b_j 1 + delta_j + noise,   b_j ~ N(0, v),   delta_j ~ N(0, l_j K),   noise ~ N(0, D_j)

v and D_j are known. K (n_classes, n_classes) is the classes' covariance over genes: hundreds of
genes estimate its few entries by moments, so classes that are alike lend each other strength and a
rare one is shrunk by its own noise. l_j is a power of the gene's variance, the likeliest one.
Returned is the posterior mean of b_j 1 + delta_j: empirical Bayes (Efron, Morris 1973,
doi:10.1080/01621459.1973.10481350) for multivariate means.
"""

from dataclasses import dataclass

import numpy as np

POWERS = (0.0, 0.5, 1.0, 1.5, 2.0)  # of the variance
DOUBT = 20.0


@dataclass(frozen=True)
class Noisy:
    """What is known of all genes.

    Parameters
    ----------
    y
        (n_classes, n_genes).
    noise
        Its variances, of the same shape.
    center
        v.
    shares
        Of the classes, (n_classes,): add up to 1.
    """

    y: np.ndarray
    noise: np.ndarray
    center: float
    shares: np.ndarray


def class_deviations(seen: Noisy, variance: np.ndarray, *, least: float = 0.0) -> np.ndarray:
    """Posterior means of the classes' deviations from the centre, (n_classes, n_genes).

    Parameters
    ----------
    seen
        The noisy ones.
    variance
        Of each gene, (n_genes,): positive.
    least
        Of the genes' mean variance, what is taken to be the classes' at least.
    """
    if not seen.noise.any():
        return seen.y
    best, likeliest = seen.y, -np.inf
    floor = least * float(variance.mean())
    for power in POWERS:
        scale = variance**power
        scale = scale / scale.mean()
        prior = scale[:, None, None] * between(seen, scale, floor) + seen.center
        total = prior + _diagonals(seen.noise)
        solved = np.linalg.solve(total, seen.y.T[:, :, None])
        fit = -0.5 * (seen.y.T[:, :, None] * solved).sum()
        likelihood = fit - 0.5 * np.linalg.slogdet(total)[1].sum()
        if likelihood > likeliest:
            best, likeliest = (prior @ solved)[:, :, 0].T, likelihood
    return best


def between(seen: Noisy, scale: np.ndarray, floor: float = 0.0) -> np.ndarray:
    """K of genes whose deviations have covariance scale_j K: (n_classes, n_classes), not negative.

    Moments of all genes, each entry shrunk as its own error asks towards what one common variance
    of all classes' means would give.
    """
    # A gene counts by what it tells of K: its scale over its noise.
    weight = scale / seen.noise.mean(axis=0) ** 2
    moments = np.einsum("cj,dj,j->cd", seen.y, seen.y, weight)
    known = np.einsum("cj,j->c", seen.noise, weight)
    per = (weight * scale).sum()
    found = (moments - np.diag(known) - seen.center * weight.sum()) / per
    cross = np.einsum("cj,dj,j->cd", seen.noise, seen.noise, weight**2)
    error = cross * (1 + np.eye(len(cross))) / per**2
    n = len(found)
    apart = np.eye(n) - np.outer(np.ones(n), seen.shares)
    common = apart @ apart.T
    # Of one class nothing is apart.
    told = (common**2 / error).sum()
    level = max((found * common / error).sum() / told, floor) if told else floor
    # Errors of K cost a classifier more than a common variance does: `DOUBT` of them as many.
    prior, error = level**2, DOUBT * error
    shrunk = (found * prior + level * common * error) / (prior + error)
    values, vectors = np.linalg.eigh(apart @ shrunk @ apart.T)
    return (vectors * np.maximum(values, 0)) @ vectors.T


def _diagonals(noise: np.ndarray) -> np.ndarray:
    """(n_classes, n_genes) to (n_genes, n_classes, n_classes)."""
    return noise.T[:, :, None] * np.eye(len(noise))

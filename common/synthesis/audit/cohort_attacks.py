"""Attacks that see the synthetic cohort alone: scores of records, higher for likely members.

Each is given a reference: real records of the population that are neither of the cohort nor judged.
"""

import numpy as np

from common.synthesis.audit.closest import closest
from common.synthesis.scores.space import standardised


def by_distance(x: np.ndarray, synthetic: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Minus the distance to the closest synthetic record, (n,).

    Parameters
    ----------
    x, synthetic, reference
        (n, n_genes) each; the last gives the scale of genes.

    References
    ----------
    Chen et al. 2020 (GAN-Leaks), arXiv:1909.03935, equation (4).
    """
    return -closest(standardised(x, reference), standardised(synthetic, reference))


def by_density(x: np.ndarray, synthetic: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Log of the cohort's density at a record over the population's, by the nearest neighbour.

    The constant that the number of dimensions puts before it is left out: it orders nothing. The
    nearest one alone, for a copied record has one copy beside it and no more.

    References
    ----------
    van Breugel et al. 2023 (DOMIAS), arXiv:2302.12580, equation (2).
    """
    points = standardised(x, reference)
    of_reference, of_synthetic = (
        np.log(np.maximum(closest(points, standardised(among, reference)), 1e-12))
        for among in (reference, synthetic)
    )
    return of_reference - of_synthetic


def by_class_means(
    x: np.ndarray,
    y: np.ndarray,
    synthetic: tuple[np.ndarray, np.ndarray],
    reference: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Log-likelihood of a record under the cohort's class means over that under the population's.

    It knows what generators of class moments release: with the means of so few records, each of
    them shifts its class towards itself in all genes at once. Gaussians of one variance per gene,
    that within classes of the reference.

    Parameters
    ----------
    x, y
        Records (n, n_genes) and their classes (n,).
    synthetic, reference
        Values and classes.

    Returns
    -------
    (n,); NaN where the cohort lacks the class or the reference has not two records of it.

    References
    ----------
    Homer et al. 2008, doi:10.1371/journal.pgen.1000167; Sankararaman et al. 2009 (likelihood
    ratio), doi:10.1038/ng.436; Dwork et al. 2015, doi:10.1109/FOCS.2015.46.
    """
    found = np.full(len(x), np.nan)
    residuals, means = [], {}
    for c in np.unique(reference[1]).tolist():
        rows = reference[0][reference[1] == c]
        if len(rows) >= 2:
            means[c] = rows.mean(axis=0)
            residuals.append(rows - means[c])
    if not residuals:
        return found
    n = sum(map(len, residuals))
    variance = np.square(np.concatenate(residuals)).sum(axis=0) / max(n - len(residuals), 1)
    # A gene that hardly varies in a small reference must not decide alone.
    variance += 0.01 * variance.mean() + 1e-12
    for c, mean in means.items():
        released = synthetic[0][synthetic[1] == c]
        rows = y == c
        if len(released) and rows.any():
            gain = np.square(x[rows] - mean) - np.square(x[rows] - released.mean(axis=0))
            found[rows] = (gain / (2 * variance)).sum(axis=1)
    return found

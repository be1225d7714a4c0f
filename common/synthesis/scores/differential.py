"""Whether the genes that tell classes apart are the same: differential expression."""

from dataclasses import dataclass

import numpy as np

FDR = 0.05
SETTINGS = (
    f"each class against the rest, Welch's t test, Benjamini-Hochberg at {FDR:.0%} within a class"
)


@dataclass(frozen=True)
class Differential:
    """Differential expression of a cohort.

    Parameters
    ----------
    called
        Whether a gene is called in a class, (n_classes, n_genes).
    change
        Mean in the class minus mean in the rest, the same shape: a log fold change where values
        are logarithms.
    tested
        Whether class and rest have two records each, (n_classes,).
    """

    called: np.ndarray
    change: np.ndarray
    tested: np.ndarray


def differential(x: np.ndarray, y: np.ndarray, n_classes: int) -> Differential:
    """Genes that differ between each class and the rest.

    Parameters
    ----------
    x, y
        Values (n, n_genes) and index of class (n,).

    References
    ----------
    Welch 1947, doi:10.1093/biomet/34.1-2.28; Benjamini, Hochberg 1995,
    doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    from scipy.stats import false_discovery_control, ttest_ind_from_stats

    called = np.zeros((n_classes, x.shape[1]), dtype=bool)
    change = np.zeros((n_classes, x.shape[1]))
    tested = np.zeros(n_classes, dtype=bool)
    for c in range(n_classes):
        groups = x[y == c], x[y != c]
        tested[c] = min(map(len, groups)) >= 2
        if not tested[c]:
            continue
        (m1, s1, n1), (m2, s2, n2) = (
            (g.mean(axis=0), g.std(axis=0, ddof=1), len(g)) for g in groups
        )
        change[c] = m1 - m2
        # Without spread on both sides there is no test: 0 of 0 is not called.
        varies = s1 + s2 > 0
        p = np.ones(x.shape[1])
        about = [(m[varies], s[varies], n) for m, s, n in ((m1, s1, n1), (m2, s2, n2))]
        if varies.any():
            p[varies] = ttest_ind_from_stats(*about[0], *about[1], equal_var=False).pvalue
        called[c] = false_discovery_control(p) <= FDR
    return Differential(called, change, tested)


def compare_differential(real: Differential, other: Differential) -> dict[str, float | None]:
    """How far the other cohort calls the genes that the real one calls.

    Returns
    -------
    ``de_tpr``: of the (class, gene) pairs that the real cohort calls, the share that the other
    calls too; ``de_fpr``: the same of those that it does not call; ``de_direction``: of the pairs
    both call, the share with one sign; ``lfc_slope``: least squares of the other's change on the
    real one's, through the origin, over all pairs. None without any pair. Classes that the real
    cohort cannot test are left out; those that the other lacks call nothing.
    """
    rows = real.tested
    truth, said = real.called[rows], other.called[rows]
    a, b = real.change[rows], other.change[rows]
    both = truth & said
    spread = float(np.square(a).sum())
    return {
        "de_tpr": float(said[truth].mean()) if truth.any() else None,
        "de_fpr": float(said[~truth].mean()) if (~truth).any() else None,
        "de_direction": float((a[both] * b[both] > 0).mean()) if both.any() else None,
        "lfc_slope": float((a * b).sum() / spread) if spread else None,
    }

"""Whether real and synthetic records lie among each other: LISI."""

import numpy as np

from common.metrics.embedded import Embedded
from common.metrics.lisi import K_LISI, lisi_per_cell, overall
from common.synthesis.scores.space import N_PCS, at_most, principal_components, standardised

SETTINGS = (
    f"{N_PCS} principal components of both cohorts' genes, standardised by the real one, equally "
    f"many records of each, {K_LISI} neighbours"
)


def lisi(real: np.ndarray, other: np.ndarray, *, seed: int = 0) -> float:
    """(median LISI of "real or not" - 1): 0 where each lies among its own kind, 1 where mixed.

    Parameters
    ----------
    real, other
        (n, n_genes) and (m, n_genes).
    seed
        Of the records taken of the larger cohort, and of the components.

    Raises
    ------
    Undefined
        There are fewer than 91 records, all alike, or scib-metrics is not installed.

    References
    ----------
    Korsunsky et al. 2019, doi:10.1038/s41592-019-0619-0.
    """
    n = min(len(real), len(other))
    a, b = (at_most(standardised(x, real), n, seed) for x in (real, other))
    points = principal_components(np.concatenate([a, b]), seed)
    which = np.repeat(["real", "other"], n)
    embedded = Embedded(points, which, np.full(2 * n, "record"))
    return overall(lisi_per_cell(embedded, embedded.batch_codes), 1, 2)

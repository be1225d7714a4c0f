"""Local inverse Simpson index: how many batches, or types, a cell's neighbourhood amounts to."""

import numpy as np

from common.metrics.embedded import Embedded
from common.metrics.score import Undefined

K_LISI = 90
PERPLEXITY = 30
SETTINGS = {
    "k": K_LISI,
    "perplexity": PERPLEXITY,
    "neighbours": "the cell itself excluded",
    "overall": "median over cells",
}


def lisi_per_cell(embedded: Embedded, labels: np.ndarray) -> np.ndarray:
    """Inverse Simpson index of ``labels`` (n_cells,) among 90 neighbours, weighted by distance.

    Returns
    -------
    (n_cells,) from 1, one label only, to the number of labels; NaN around a cell whose neighbours
    are so equally far that no weights have the perplexity.

    Raises
    ------
    Undefined
        Fewer than 91 cells, a constant embedding, or scib-metrics is not installed.

    References
    ----------
    Korsunsky et al. 2019, doi:10.1038/s41592-019-0619-0 (LISI).
    """
    neighbours = embedded.nearest(K_LISI)
    try:
        # Late: jax takes seconds. A node's image goes without it.
        import scib_metrics
        from scib_metrics.nearest_neighbors import NeighborsResults
    except ModuleNotFoundError as error:
        raise Undefined(f"needs scib-metrics; pip install scib-metrics ({error})") from error
    graph = NeighborsResults(indices=neighbours.indices, distances=neighbours.distances)
    lisi = scib_metrics.lisi_knn(graph, labels, perplexity=PERPLEXITY)
    # -1 is what scib-metrics gives where it found no weights.
    return np.where(lisi > 0, lisi, np.nan).astype(np.float64)


def scaled_median(lisi: np.ndarray, worst: float, best: float) -> float | None:
    """The median over cells on a scale from ``worst`` (0) to ``best`` (1); None without a value."""
    known = lisi[~np.isnan(lisi)]
    if not len(known):
        return None
    # Single precision may stray beyond the ends in its last digits.
    return float(np.clip((np.median(known) - worst) / (best - worst), 0, 1))


def overall(lisi: np.ndarray, worst: float, best: float) -> float:
    """:func:`scaled_median` of all cells; raises Undefined where no cell has a value."""
    value = scaled_median(lisi, worst, best)
    if value is None:
        raise Undefined("no cell has neighbours at different distances")
    return value

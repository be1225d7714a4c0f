"""kBET: in how many neighbourhoods the batches have the shares that a test accepts."""

import numpy as np

from common.metrics.embedded import Embedded
from common.metrics.neighbors import nearest_neighbours
from common.metrics.registry import register_metric
from common.metrics.score import Score, Undefined

K_KBET = 50
ALPHA = 0.05
LEAST_K, MOST_K = 10, 70
LEAST_CELLS = 3 * LEAST_K


def accepted(neighbours: np.ndarray, batch: np.ndarray) -> np.ndarray:
    """Test each cell's neighbourhood, itself included, for the batches' shares among all cells.

    Parameters
    ----------
    neighbours
        (n_cells, k - 1) row numbers of the others in each neighbourhood.
    batch
        (n_cells,) batch names or codes.

    Returns
    -------
    (n_cells,) True where Pearson's chi-squared test keeps the shares at level 0.05.
    """
    from scipy.special import chdtrc

    names, codes = np.unique(batch, return_inverse=True)
    neighbourhoods = np.column_stack([codes, codes[neighbours]])
    expected = np.bincount(codes) / len(codes) * neighbourhoods.shape[1]
    statistic = np.zeros(len(codes))
    for code in range(len(names)):
        observed = (neighbourhoods == code).sum(axis=1)
        statistic += (observed - expected[code]) ** 2 / expected[code]
    # scib_metrics.kbet says the same in single precision, and compiles 1.5 s for every type's size.
    return chdtrc(len(names) - 1, statistic) >= ALPHA


@register_metric(
    "kbet",
    title="Batch shares as overall (kBET)",
    better="higher",
    group="mixing",
    settings={"k": K_KBET, "alpha": ALPHA, "neighbourhood": "the cell itself and k - 1 others"},
)
def kbet(embedded: Embedded) -> float:
    """Share of cells around which the batches have their overall shares, 0 to 1.

    Batches that differ in their cell types are rejected however well each type is mixed:
    :func:`kbet_per_type` is not.

    References
    ----------
    Büttner et al. 2019, doi:10.1038/s41592-018-0254-1 (acceptance rate).
    """
    embedded.require_batches()
    return float(accepted(embedded.nearest(K_KBET - 1).indices, embedded.batch_codes).mean())


@register_metric(
    "kbet_per_type",
    title="Batch shares within types (kBET)",
    better="higher",
    group="mixing",
    settings={
        "k": f"a quarter of the type's mean batch, {LEAST_K} to {MOST_K}",
        "alpha": ALPHA,
        "neighbours": "exact, Euclidean, among the cells of the type",
        "least_cells": LEAST_CELLS,
    },
)
def kbet_per_type(embedded: Embedded) -> Score:
    """:func:`kbet` among the cells of each type alone, macro mean over types.

    Left out are types that one batch holds and those of fewer than 30 cells, whose neighbourhoods
    of 10 could hardly differ from the whole. Neighbours lie in the embedding, not in scIB's
    diffusion maps: on 20,000 cells those take minutes.

    References
    ----------
    Luecken et al. 2022, doi:10.1038/s41592-021-01336-8 (kBET per cell identity label).
    """
    embedded.require_batches()
    embedded.require_types(at_least=1)
    embedded.require_spread()
    per_type: dict[str, float | None] = {}
    for name, n_batches in embedded.batches_per_type.items():
        cells = embedded.cell_type == name
        per_type[name] = None
        if n_batches > 1 and cells.sum() >= LEAST_CELLS:
            k = int(np.clip(cells.sum() // (4 * n_batches), LEAST_K, MOST_K))
            others = nearest_neighbours(embedded.x[cells], k - 1).indices
            per_type[name] = float(accepted(others, embedded.batch[cells]).mean())
    known = [share for share in per_type.values() if share is not None]
    if not known:
        raise Undefined(f"no cell type has two batches and {LEAST_CELLS} cells")
    return Score(float(np.mean(known)), per_type=per_type)

"""Isolated-label F1: whether types that few batches hold form clusters of their own."""

import numpy as np

from common.metrics.embedded import Embedded
from common.metrics.registry import register_metric
from common.metrics.score import Score, Undefined


def best_f1(is_type: np.ndarray, clusters: np.ndarray) -> float:
    """The highest F1 of any one cluster, taken as the prediction of one type.

    Parameters
    ----------
    is_type
        (n_cells,) True for cells of the type.
    clusters
        (n_cells,) cluster numbers from 0.
    """
    size = np.bincount(clusters)
    hits = np.bincount(clusters, weights=is_type)
    return float((2 * hits / (size + is_type.sum())).max())


@register_metric(
    "isolated_label_f1",
    title="Types of few batches found (F1)",
    better="higher",
    group="types",
    settings={
        "isolated": "types held by the fewest batches, unless those are all batches",
        "cluster": "of all clusters at all resolutions the one with the highest F1",
    },
)
def isolated_label_f1(embedded: Embedded) -> Score:
    """Mean over isolated types of the best cluster's F1, at the best of 20 resolutions, 0 to 1.

    Isolated are the types that the fewest batches hold: a correction that only mixes dissolves
    them first. An upper bound, as the types choose cluster and resolution.

    References
    ----------
    Luecken et al. 2022, doi:10.1038/s41592-021-01336-8 (isolated label F1).
    """
    embedded.require_batches()
    embedded.require_types(at_least=2)
    fewest = min(embedded.batches_per_type.values())
    if fewest == embedded.n_batches:
        raise Undefined("no cell type is isolated: all batches hold every one")
    types = embedded.cell_type[embedded.typed]
    clusterings = [clusters[embedded.typed] for clusters in embedded.clusterings.values()]
    per_type = {
        name: max(best_f1(types == name, clusters) for clusters in clusterings)
        if n_batches == fewest
        else None
        for name, n_batches in embedded.batches_per_type.items()
    }
    known = [f1 for f1 in per_type.values() if f1 is not None]
    return Score(float(np.mean(known)), per_type=per_type)

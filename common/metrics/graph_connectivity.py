"""Graph connectivity: whether a type's cells hang together across batches."""

import numpy as np

from common.metrics.embedded import Embedded
from common.metrics.registry import register_metric
from common.metrics.score import Score, Undefined


@register_metric(
    "graph_connectivity",
    title="Types hang together (graph)",
    better="higher",
    group="mixing",
    settings={"graph": "the one that is clustered, symmetric"},
)
def graph_connectivity(embedded: Embedded) -> Score:
    """Share of a type's cells in its largest connected piece of the graph, macro mean over types.

    Edges lead to the nearest cells of any type, and those within a type are kept: a type that is
    split by batch, or strewn among others, falls into pieces. Types of one cell are left out.

    References
    ----------
    Luecken et al. 2022, doi:10.1038/s41592-021-01336-8 (graph connectivity).
    """
    from scipy.sparse.csgraph import connected_components

    embedded.require_types(at_least=1)
    per_type: dict[str, float | None] = {}
    for name in embedded.batches_per_type:
        cells = embedded.cell_type == name
        # scib_metrics.graph_connectivity follows edges one way only and gives the mean alone.
        pieces = connected_components(embedded.graph[cells][:, cells], directed=False)[1]
        per_type[name] = float(np.bincount(pieces).max() / len(pieces)) if len(pieces) > 1 else None
    known = [share for share in per_type.values() if share is not None]
    if not known:
        raise Undefined("every cell type has one cell only")
    return Score(float(np.mean(known)), per_type=per_type)

"""kNN purity: the share of a cell's neighbours that have its type."""

import numpy as np

from common.metrics.embedded import Embedded
from common.metrics.registry import register_metric
from common.metrics.score import Score


@register_metric("knn_purity", title="Neighbours of the same type", better="higher", group="types")
def knn_purity(embedded: Embedded) -> Score:
    """Share of the 15 neighbours with the cell's own type, macro mean over types, 0 to 1.

    Neighbours without a type are left out of the share, and so is a cell all of whose neighbours
    have none.
    """
    embedded.require_types(at_least=2)
    indices = embedded.neighbours.indices
    n_typed = embedded.typed[indices].sum(axis=1)
    n_same = (embedded.cell_type[indices] == embedded.cell_type[:, None]).sum(axis=1)
    per_type: dict[str, float | None] = {}
    for name in embedded.batches_per_type:
        cells = (embedded.cell_type == name) & (n_typed > 0)
        per_type[name] = float((n_same[cells] / n_typed[cells]).mean()) if cells.any() else None
    known = [share for share in per_type.values() if share is not None]
    return Score(float(np.mean(known)), per_type=per_type)

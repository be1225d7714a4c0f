"""Silhouette of batches within cell types: whether a type's batches lie on top of each other."""

import numpy as np

from common.metrics.embedded import Embedded
from common.metrics.registry import register_metric
from common.metrics.score import Score, Undefined


@register_metric(
    "silhouette_batch", title="Batch overlap within types (ASW)", better="higher", group="mixing"
)
def silhouette_batch(embedded: Embedded) -> Score:
    """Mean over types of mean(1 - |s|), s the silhouette of batches in a type; 1: they overlap.

    Types held by one batch only are left out, and so are those with a single cell per batch.

    References
    ----------
    Luecken et al. 2022, doi:10.1038/s41592-021-01336-8 (batch ASW).
    """
    from sklearn.metrics import silhouette_samples

    embedded.require_batches()
    embedded.require_types(at_least=1)
    embedded.require_spread()
    per_type: dict[str, float | None] = {}
    for name, n_batches in embedded.batches_per_type.items():
        cells = embedded.cell_type == name
        if 1 < n_batches < cells.sum():
            widths = silhouette_samples(embedded.x[cells], embedded.batch[cells])
            per_type[name] = float(np.mean(1 - np.abs(widths)))
        else:
            per_type[name] = None
    known = [overlap for overlap in per_type.values() if overlap is not None]
    if not known:
        raise Undefined("no cell type has two batches and more cells than batches")
    return Score(float(np.mean(known)), per_type=per_type)

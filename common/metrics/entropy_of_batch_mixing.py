"""Entropy of batch mixing: how varied the batches around a cell are."""

import numpy as np

from common.metrics.embedded import Embedded
from common.metrics.registry import register_metric
from common.metrics.score import Score, Undefined


def entropy_per_cell(embedded: Embedded) -> np.ndarray:
    """(n_cells,) Shannon entropy of the neighbours' batches over log(n_batches), 0 to 1.

    Raises
    ------
    Undefined
        One batch only, fewer than 16 cells, or a constant embedding.
    """
    embedded.require_batches()
    batches = embedded.batch_codes[embedded.neighbours.indices]
    entropy = np.zeros(embedded.n_cells)
    for code in range(embedded.n_batches):
        share = (batches == code).mean(axis=1)
        entropy -= share * np.log(share, where=share > 0, out=np.zeros_like(share))
    return entropy / np.log(embedded.n_batches)


@register_metric(
    "entropy_of_batch_mixing",
    title="Batch mixing among neighbours",
    better="higher",
    group="mixing",
)
def entropy_of_batch_mixing(embedded: Embedded) -> Score:
    """Mean over cells; 0: every cell sees one batch only, 1: all batches in equal shares.

    Unequal batches, or types that one batch holds, keep it below 1. Per type it is given for types
    in two or more batches.

    References
    ----------
    Haghverdi et al. 2018, doi:10.1038/nbt.4091 (Methods, entropy of batch mixing).
    """
    entropy = entropy_per_cell(embedded)
    per_type = {
        name: float(entropy[embedded.cell_type == name].mean()) if n_batches > 1 else None
        for name, n_batches in embedded.batches_per_type.items()
    }
    return Score(float(entropy.mean()), per_type=per_type)


@register_metric(
    "entropy_of_batch_mixing_shared",
    title="Batch mixing, types in 2+ batches",
    better="higher",
    group="mixing",
)
def entropy_of_batch_mixing_shared(embedded: Embedded) -> float:
    """:func:`entropy_of_batch_mixing` over the cells whose type two or more batches hold."""
    entropy = entropy_per_cell(embedded)
    embedded.require_types(at_least=1)
    shared = [name for name, n_batches in embedded.batches_per_type.items() if n_batches > 1]
    if not shared:
        raise Undefined("no cell type is held by two batches")
    return float(entropy[np.isin(embedded.cell_type, shared)].mean())

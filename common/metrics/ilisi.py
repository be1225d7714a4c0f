"""iLISI: how many batches a cell's neighbourhood amounts to."""

from common.metrics.embedded import Embedded
from common.metrics.lisi import SETTINGS, lisi_per_cell, overall, scaled_median
from common.metrics.registry import register_metric
from common.metrics.score import Score


@register_metric(
    "ilisi",
    title="Batches around a cell (iLISI)",
    better="higher",
    group="mixing",
    settings=SETTINGS,
)
def ilisi(embedded: Embedded) -> Score:
    """(median LISI of batches - 1) / (n_batches - 1); 0: one batch only, 1: all in equal shares.

    Per type, on the same scale, it is given for types in two or more batches.

    References
    ----------
    Korsunsky et al. 2019, doi:10.1038/s41592-019-0619-0; Luecken et al. 2022,
    doi:10.1038/s41592-021-01336-8 (the scale from 0 to 1).
    """
    embedded.require_batches()
    lisi = lisi_per_cell(embedded, embedded.batch_codes)
    ends = (1, embedded.n_batches)
    per_type = {
        name: scaled_median(lisi[embedded.cell_type == name], *ends) if n_batches > 1 else None
        for name, n_batches in embedded.batches_per_type.items()
    }
    return Score(overall(lisi, *ends), per_type=per_type)

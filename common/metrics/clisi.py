"""cLISI: how few cell types a cell's neighbourhood amounts to."""

from common.metrics.embedded import Embedded
from common.metrics.lisi import SETTINGS, lisi_per_cell, overall, scaled_median
from common.metrics.registry import register_metric
from common.metrics.score import Score


@register_metric(
    "clisi",
    title="One type around a cell (cLISI)",
    better="higher",
    group="types",
    settings=SETTINGS,
)
def clisi(embedded: Embedded) -> Score:
    """(n_types - median LISI of types) / (n_types - 1); 1: one type only, 0: all in equal shares.

    Over the cells that have a type. Most medians lie near 1.

    References
    ----------
    Korsunsky et al. 2019, doi:10.1038/s41592-019-0619-0; Luecken et al. 2022,
    doi:10.1038/s41592-021-01336-8 (the scale from 0 to 1).
    """
    embedded.require_types(at_least=2)
    typed = embedded.only_typed
    lisi = lisi_per_cell(typed, typed.cell_type)
    ends = (len(typed.batches_per_type), 1)
    per_type = {
        name: scaled_median(lisi[typed.cell_type == name], *ends) for name in typed.batches_per_type
    }
    return Score(overall(lisi, *ends), per_type=per_type)

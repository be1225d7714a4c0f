"""How well Leiden clusters agree with cell types: what ARI and NMI share."""

from collections.abc import Callable

import numpy as np

from common.metrics.embedded import Embedded


def agreement_by_resolution(
    embedded: Embedded, compare: Callable[[np.ndarray, np.ndarray], float]
) -> dict[float, float]:
    """Compare types with clusters at each resolution, over the cells that have a type.

    Parameters
    ----------
    compare
        ``compare(types, clusters)``, both (n_typed_cells,).

    Returns
    -------
    The agreement by resolution.

    Raises
    ------
    Undefined
        Fewer than two types, fewer than 16 cells, or a constant embedding.
    """
    embedded.require_types(at_least=2)
    types = embedded.cell_type[embedded.typed]
    return {
        resolution: float(compare(types, clusters[embedded.typed]))
        for resolution, clusters in embedded.clusterings.items()
    }

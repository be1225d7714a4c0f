"""Which cells are compared: batches of a type that have cells enough to tell their spread."""

from collections.abc import Sequence

import numpy as np

from common.correction import CELLS_FOR_A_MEAN, group_rows

# Of fewer cells a mean or a variance says little; corrected they are as any others.
LEAST_CELLS = CELLS_FOR_A_MEAN

Groups = list[list[np.ndarray]]


def scored_groups(batches: np.ndarray, cell_types: np.ndarray, types: Sequence[str]) -> Groups:
    """Of each of ``types`` the row numbers of every batch here that has ``LEAST_CELLS`` cells.

    Parameters
    ----------
    batches, cell_types
        (n_cells,); a type of ``None`` is unlabelled and belongs to no group.
    """
    groups = group_rows(batches, cell_types)
    return [
        [rows for (_, name), rows in groups.items() if name == wanted and len(rows) >= LEAST_CELLS]
        for wanted in types
    ]

"""How far cell type tells cells apart within a batch: what a good correction leaves as it is.

Over all cells of all sites a batch effect hides the types, and removing it makes them seem better
kept than before. Within a batch there is none: before and after can be compared. Labels steer the
correction, so cells pulled to their labels look well kept here.
"""

import numpy as np

from common.correction import group_rows
from common.federated_evaluation.between import BatchSums


def separation_sums(
    cells: np.ndarray, batches: np.ndarray, cell_types: np.ndarray, n_cells: int
) -> tuple[float, float]:
    """What one site adds: scatter between types within batches, and of all, over ``n_cells``.

    Parameters
    ----------
    cells
        (n_cells_of_site, n_dims) in one view.
    batches, cell_types
        (n_cells_of_site,); unlabelled cells are left out.
    """
    between = total = 0.0
    groups = group_rows(batches, cell_types)
    for batch in np.unique(batches):
        types = [rows for (name, _), rows in groups.items() if name == batch and len(rows) > 1]
        if len(types) < 2:
            continue
        inside = cells[np.concatenate(types)]
        scatter = float(((inside - inside.mean(axis=0)) ** 2).sum())
        # As much scatter between types as lies there on average, had they all one distribution.
        by_chance = 1 - 1 / len(inside)
        within = sum(len(rows) * BatchSums.of(cells, [rows]).within for rows in types)
        between += scatter - by_chance * within
        total += scatter
    return between / n_cells, total / n_cells

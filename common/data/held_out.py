"""Which of a site's cells train a run's model and which validate it: a share of every batch.

For a site that takes part in a run, whatever its labels; nothing is kept for a test.
``common/data/stratified.py`` divides by label, with a test; ``common/data/deal.py`` makes sites.
"""

from dataclasses import dataclass

import numpy as np

from common.data.random_parts import random_parts


@dataclass(frozen=True)
class Split:
    """Row numbers of a site's training and validation cells."""

    train: np.ndarray
    validation: np.ndarray


def split_cells(batches: np.ndarray, share: float, seed: int) -> Split:
    """Hold out ``share`` of each batch's cells, the same ones in every round.

    Parameters
    ----------
    batches
        Batch of each cell, (n_cells,).
    share
        Between 0 and 1; a batch too small for one validation cell trains with all its cells.
    seed
        The run's.
    """
    _, groups, n_cells = np.unique(batches, return_inverse=True, return_counts=True)
    held_out = (n_cells * share).astype(np.int64)
    sizes = np.column_stack([held_out, n_cells - held_out])
    part = random_parts(groups, sizes, np.random.default_rng([seed, len(batches)]))
    return Split(np.flatnonzero(part == 1), np.flatnonzero(part == 0))

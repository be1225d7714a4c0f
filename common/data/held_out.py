"""Which of a site's cells train the model and which validate it."""

from dataclasses import dataclass

import numpy as np


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
    rng = np.random.default_rng([seed, len(batches)])
    held_out = np.zeros(len(batches), dtype=bool)
    for batch in np.unique(batches):
        rows = np.flatnonzero(batches == batch)
        held_out[rng.permutation(rows)[: int(len(rows) * share)]] = True
    return Split(np.flatnonzero(~held_out), np.flatnonzero(held_out))

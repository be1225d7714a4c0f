"""Cells of each group, by batch or by label, shared out at random in given numbers."""

import numpy as np


def random_parts(groups: np.ndarray, sizes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The part of each cell, int64 (n_cells,), from 0; -1 for cells of no group.

    Parameters
    ----------
    groups
        Group of each cell, an integer (n_cells,) from 0; below 0, of none.
    sizes
        Cells of each group that each part gets, (n_groups, n_parts): a row adds up to its group.
    random
        Where the order of the cells is from, group by group.
    """
    part = np.full(len(groups), -1, dtype=np.int64)
    for group, own in enumerate(sizes):
        rows = np.flatnonzero(groups == group)
        part[random.permutation(rows)] = np.repeat(np.arange(len(own)), own)
    return part

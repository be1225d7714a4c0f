"""A forest as arrays by name: how it is sent to sites, kept in a checkpoint, and published."""

from dataclasses import replace

import numpy as np

from common.boosting.forest import FIELDS, Forest
from common.errors import InputError


def state_of_forest(forest: Forest) -> dict[str, np.ndarray]:
    """Its arrays; gains and sums of hessians are left out, which would tell numbers of cells."""
    bare = replace(forest, gain=np.zeros_like(forest.gain), cover=np.zeros_like(forest.cover))
    return {name: np.asarray(getattr(bare, name)) for name in FIELDS}


def forest_of(state: dict[str, np.ndarray]) -> Forest:
    """The forest of :func:`state_of_forest`.

    Raises
    ------
    InputError
        It is not one.
    """
    if set(state) != set(FIELDS):
        raise InputError(f"a forest has {', '.join(FIELDS)}, and this has {', '.join(state)}")
    return Forest(**{**state, "n_genes": int(state["n_genes"])})

"""A classifier's values with outputs for more classes than it was trained on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from common.errors import InputError
from common.models.classifiers.build import build_classifier
from common.models.classifiers.registry import CLASSIFIERS
from common.models.state import State, state_of


def head_names(name: str, shape: Any, n_genes: int) -> list[str]:
    """What of a network's state has a row for each class: what more classes lengthen."""
    with torch.device("meta"):
        two, three = (CLASSIFIERS.get(name)(n_genes, n, shape).state_dict() for n in (2, 3))
    return [key for key, value in two.items() if three[key].shape != value.shape]


def extended_state(
    state: State,
    before: Sequence[str],
    after: Sequence[str],
    *,
    name: str,
    shape: Any,
    n_genes: int,
    seed: int,
) -> State:
    """The state over other classes: a known one keeps its outputs, a new one's begin at random.

    The values of known classes are those of ``state``; a linear classifier's new rows are zero, as
    its own start is.

    Parameters
    ----------
    before, after
        Classes that it has and is to have; all of the first are among the second.
    name, shape, n_genes
        What the network is.
    seed
        Of the new rows.

    Raises
    ------
    InputError
        The state has no row for each class.
    """
    if tuple(before) == tuple(after):
        return dict(state)
    fresh = state_of(build_classifier(name, shape, n_genes, len(after), seed))
    rows = [list(after).index(label) for label in before]
    made = dict(state)
    for key in head_names(name, shape, n_genes):
        if len(state[key]) != len(before):
            raise InputError(f"{key} of the bundle has {len(state[key])} rows, not {len(before)}")
        whole = np.array(fresh[key], dtype=state[key].dtype)
        whole[rows] = state[key]
        made[key] = whole
    return made

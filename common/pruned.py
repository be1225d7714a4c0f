"""Pruning by magnitude: the smallest weights are zero from a round on, and are not sent any more.

The coordinator chooses them from the model of all sites and sends which are kept, a bit for each
weight, with every model after it. Arrays of a pruned model travel as their kept values alone, and
so does their change in a sum.

References
----------
Han et al. 2015, arXiv:1506.02626; Jiang et al. 2022 (pruning in federated rounds),
arXiv:1909.12326.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np

from common.config import RunConfig
from common.errors import ConfigError, WireError

State = dict[str, np.ndarray]
# Of what a matrix would keep if all were pruned alike, it keeps at least this share.
LEAST_SHARE = 0.1


@dataclass(frozen=True)
class Kept:
    """Which weights of a model are kept; of one that is not pruned, nothing is said.

    Parameters
    ----------
    of
        By name of a pruned array, bool in its shape.
    """

    of: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.of)

    @cached_property
    def values(self) -> dict[str, Any]:
        """The JSON part of a message: shapes of the pruned arrays."""
        return (
            {"pruned": {name: list(kept.shape) for name, kept in self.of.items()}} if self else {}
        )

    @cached_property
    def arrays(self) -> dict[str, State]:
        """A message's group of arrays: a bit for each weight, uint8 (ceil(n / 8),) by name."""
        return {"kept": {name: np.packbits(kept) for name, kept in self.of.items()}} if self else {}

    @classmethod
    def received(cls, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """What :attr:`values` and the group ``kept`` of :attr:`arrays` say.

        Raises
        ------
        WireError
            They do not fit each other.
        """
        shapes = values.get("pruned", {})
        if set(shapes) != set(arrays):
            raise WireError(f"pruned are {sorted(shapes)}, and bits came of {sorted(arrays)}")
        of = {}
        for name, shape in shapes.items():
            bits, n = arrays[name], math.prod(shape)
            if bits.dtype != np.uint8 or bits.shape != (-(-n // 8),):
                raise WireError(
                    f"the bits of {name}, {bits.dtype} {bits.shape}, are not of {shape}"
                )
            of[name] = np.unpackbits(bits, count=n).astype(bool).reshape(shape)
        return cls(of)

    def thin(self, state: Mapping[str, np.ndarray]) -> State:
        """A model, or what is of its form, with pruned arrays as their kept values, (n_kept,)."""
        return {k: value[self.of[k]] if k in self.of else value for k, value in state.items()}

    def whole(self, thin: Mapping[str, np.ndarray]) -> State:
        """The model of :meth:`thin`, with zeros where it was pruned.

        Raises
        ------
        WireError
            An array has another number of values than are kept.
        """
        state = dict(thin)
        for name, kept in self.of.items():
            value = thin.get(name)
            n_kept = np.count_nonzero(kept)
            if value is None or value.shape != (n_kept,):
                has = "is missing" if value is None else f"has {value.shape} values"
                raise WireError(f"{name} {has}, and {n_kept} of its weights are kept")
            state[name] = np.zeros(kept.shape, value.dtype)
            state[name][kept] = value
        return state

    def facts(self) -> dict[str, Any]:
        """Weights before and after, for a run's record: those of the pruned arrays."""
        n_weights = sum(kept.size for kept in self.of.values())
        n_kept = sum(int(np.count_nonzero(kept)) for kept in self.of.values())
        return {"share": 1 - n_kept / n_weights, "n_weights": n_weights, "n_kept": n_kept}


def weights_of(state: Mapping[str, np.ndarray], names: Iterable[str]) -> list[str]:
    """The weight matrices among ``names``: no biases, no norms."""
    return [name for name in names if state[name].ndim > 1]


def without_smallest(state: Mapping[str, np.ndarray], names: Iterable[str], share: float) -> Kept:
    """Prune ``share`` of the weights of some arrays: the smallest by magnitude over all of them.

    Of equal ones the first go. Each array keeps a few, whatever their magnitude, or the network
    could be cut in two.
    """
    sizes = {name: state[name].size for name in names}
    magnitude = np.concatenate([np.abs(state[name]).ravel() for name in sizes]).astype(np.float64)
    starts = np.cumsum([0, *sizes.values()])
    spared = 0
    for start, size in zip(starts, sizes.values(), strict=False):
        n = max(1, math.ceil(LEAST_SHARE * (1 - share) * size))
        largest = np.argsort(-magnitude[start : start + size], kind="stable")[:n]
        magnitude[start + largest] = np.inf
        spared += n
    n_pruned = min(round(share * len(magnitude)), len(magnitude) - spared)
    kept = np.ones(len(magnitude), dtype=bool)
    kept[np.argsort(magnitude, kind="stable")[:n_pruned]] = False
    parts = zip(sizes, np.split(kept, starts[1:-1]), strict=True)
    return Kept({name: part.reshape(state[name].shape) for name, part in parts})


def prune_after(config: RunConfig, rounds: int) -> int:
    """The round after which a run of so many rounds prunes; 0 if it does not.

    Raises
    ------
    ConfigError
        No round is left to train what is kept.
    """
    if not config.prune_share:
        return 0
    after = config.prune_round or max(1, rounds // 4)
    if after >= rounds:
        raise ConfigError(
            f"prune-round = {after} of {rounds} rounds: what is kept has to be trained on; set "
            "prune-round below rounds"
        )
    return after

"""The views in which cells are compared: two spaces, before the correction and after it.

``expression``: principal components of scaled expression, of each version its own, as
``syncytium evaluate`` has them. ``latent``: the version encoded by the final model, what its
encoder still sees. Sums over all views travel as one array, side by side.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from common.federated_evaluation.axes import N_AXES

UNCORRECTED = "uncorrected"
SPACES = ("expression", "latent")


@dataclass(frozen=True)
class View:
    """One version of the cells in one space, of ``n_dims`` dimensions."""

    version: str
    space: str
    n_dims: int

    @property
    def name(self) -> str:
        """By which its arrays are kept and sent."""
        return f"{self.version}-{self.space}"


def versions_of(output: str) -> tuple[str, ...]:
    """The versions of the cells in a run whose setting ``output`` is this."""
    return (UNCORRECTED, *(("decoded", "residual") if output == "both" else (output,)))


def views_of(output: str, latent_dim: int) -> list[View]:
    """All views of a run, in the order in which they travel."""
    dims = dict(zip(SPACES, (N_AXES, latent_dim), strict=True))
    return [View(v, space, dims[space]) for v in versions_of(output) for space in SPACES]


def side_by_side(parts: Iterable[np.ndarray | Sequence[float]]) -> np.ndarray:
    """Arrays of all views along their last axis as one."""
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts], axis=-1)


def split(
    joined: np.ndarray, views: list[View], size: Callable[[int], int]
) -> dict[View, np.ndarray]:
    """The opposite of :func:`side_by_side`; ``size`` tells a view's length by its ``n_dims``."""
    ends = np.cumsum([size(view.n_dims) for view in views])
    return dict(zip(views, np.split(joined, ends[:-1], axis=-1), strict=True))

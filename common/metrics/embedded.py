"""What every metric receives: an embedding with its batches, cell types and shared graphs."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from common.errors import InputError
from common.metrics.leiden import leiden_clusterings
from common.metrics.neighbors import MOST, K, Neighbours, connectivities, nearest_neighbours
from common.metrics.score import Undefined

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# What None, NaN and pandas' NA read as once an annotation was cast to str.
_NO_TYPE = ("", "nan", "NaN", "None", "<NA>")


def is_constant(x: np.ndarray) -> bool:
    """Whether all cells of ``x`` (n_cells, n_dims) lie on one point, up to rounding."""
    scale = np.abs(x).max(initial=0.0)
    return x.size == 0 or bool(np.ptp(x, axis=0).max() <= 1e-9 * scale)


@dataclass(frozen=True, eq=False)
class Embedded:
    """Cells in an embedding; graphs and clusterings are computed once, when first asked for.

    Parameters
    ----------
    x
        (n_cells, n_dims) coordinates, finite.
    batch
        (n_cells,) batch names; every cell has one.
    cell_type
        (n_cells,) type names; None, NaN or an empty string where a cell has none.

    Raises
    ------
    InputError
        The shapes do not fit, a coordinate is not finite, or a cell has no batch.
    """

    x: np.ndarray
    batch: np.ndarray
    cell_type: np.ndarray

    def __post_init__(self):
        x = np.asarray(self.x, dtype=np.float64)
        if x.ndim != 2:
            raise InputError(f"an embedding is (n_cells, n_dims); this one has shape {x.shape}")
        for name in ("batch", "cell_type"):
            labels = np.asarray(getattr(self, name), dtype=object)
            if labels.shape != (len(x),):
                raise InputError(
                    f"{name} has shape {labels.shape}, the embedding {len(x)} cells; "
                    "give one label per cell"
                )
            object.__setattr__(self, name, labels.astype(str))
        if not np.isfinite(x).all():
            bad = int((~np.isfinite(x)).any(axis=1).sum())
            raise InputError(f"{bad} of {len(x)} cells have NaN or infinite coordinates; drop them")
        if np.isin(self.batch, _NO_TYPE).any():
            bad = int(np.isin(self.batch, _NO_TYPE).sum())
            raise InputError(f"{bad} of {len(x)} cells have no batch; name one or drop the cells")
        object.__setattr__(self, "x", x)

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.x)

    @cached_property
    def batch_codes(self) -> np.ndarray:
        """(n_cells,) whole numbers 0 … n_batches - 1."""
        return np.unique(self.batch, return_inverse=True)[1]

    @property
    def n_batches(self) -> int:
        """Number of batches."""
        return int(self.batch_codes.max(initial=-1)) + 1

    @cached_property
    def typed(self) -> np.ndarray:
        """(n_cells,) True where a cell has a type."""
        return ~np.isin(self.cell_type, _NO_TYPE)

    @cached_property
    def batches_per_type(self) -> dict[str, int]:
        """How many batches hold each type, by type name in sorted order."""
        return {
            str(name): len(np.unique(self.batch_codes[self.cell_type == name]))
            for name in np.unique(self.cell_type[self.typed])
        }

    @cached_property
    def only_typed(self) -> "Embedded":
        """The cells that have a type, with graphs of their own; itself where all have one."""
        if self.typed.all():
            return self
        return Embedded(*(values[self.typed] for values in (self.x, self.batch, self.cell_type)))

    @cached_property
    def _most_neighbours(self) -> Neighbours:
        return nearest_neighbours(self.x, k=min(MOST, self.n_cells - 1))

    def nearest(self, k: int) -> Neighbours:
        """The ``k`` nearest cells of every cell, itself excluded; at most 90.

        Raises
        ------
        Undefined
            No more than ``k`` cells, or a constant embedding.
        """
        self.require_spread()
        if not 0 < k <= MOST:
            raise ValueError(f"k={k}; the shared graph has 1 to {MOST} neighbours")
        if self.n_cells <= k:
            raise Undefined(f"needs at least {k + 1} cells for {k} neighbours, has {self.n_cells}")
        return Neighbours(*(columns[:, :k] for columns in self._most_neighbours))

    @property
    def neighbours(self) -> Neighbours:
        """The 15 nearest cells of every cell; raises Undefined as ``nearest`` does."""
        return self.nearest(K)

    @cached_property
    def graph(self) -> "csr_matrix":
        """(n_cells, n_cells) symmetric weights on ``neighbours``; raises Undefined as they do."""
        return connectivities(self.x, self.neighbours)

    @cached_property
    def clusterings(self) -> dict[float, np.ndarray]:
        """Leiden clusters (n_cells,) by resolution; raises Undefined as ``neighbours`` does."""
        return leiden_clusterings(self.graph)

    def require_spread(self) -> None:
        """Raise Undefined where all cells lie on one point."""
        if is_constant(self.x):
            raise Undefined("the embedding is constant: all cells lie on one point")

    def require_batches(self) -> None:
        """Raise Undefined where there is only one batch."""
        if self.n_batches < 2:
            raise Undefined("one batch only: there is nothing to mix")

    def require_types(self, at_least: int) -> None:
        """Raise Undefined where fewer than ``at_least`` cell types are named."""
        n_types = len(self.batches_per_type)
        if n_types == 0:
            raise Undefined("no cell has a cell type")
        if n_types < at_least:
            raise Undefined(f"one cell type only ({next(iter(self.batches_per_type))})")

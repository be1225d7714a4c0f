"""Mean and spread of each type in a view, to which all sites refer its cells."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.federated_evaluation.groups import Groups
from common.federated_evaluation.views import View, side_by_side, split

# Sum over dimensions of a type's variance: what varies less than this does not vary. Sums over
# sites are in steps of 2^-40.
LEAST_VARIANCE = 1e-6


@dataclass(frozen=True)
class Centres:
    """Of one view.

    Parameters
    ----------
    mean
        Of all scored cells of each type, (n_types, n_dims).
    spread
        Root mean squared distance of a type's cells to it, (n_types,); 0 where they do not vary.
    """

    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(
        cls, total: np.ndarray, squares: np.ndarray, n_by_type: np.ndarray, n_cells: int
    ) -> "Centres":
        """From sums over sites of coordinates (n_types, n_dims) and of their squared norms.

        Parameters
        ----------
        n_by_type
            Scored cells of each type.
        n_cells
            What the sums were divided by.
        """
        mean = total * (n_cells / n_by_type)[:, None]
        variance = squares * n_cells / n_by_type - (mean**2).sum(axis=1)
        return cls(mean, np.sqrt(np.where(variance > LEAST_VARIANCE, variance, 0.0)))

    def standard(self, cells: np.ndarray, number: int) -> np.ndarray:
        """Cells about the mean of type ``number``, over its spread: mean squared norm 1."""
        spread = self.spread[number]
        return (cells - self.mean[number]) / spread if spread else np.zeros_like(cells)


def moment_sums(cells: np.ndarray, groups: Groups, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """What one site adds in a view, over ``n_cells``, the cells of all sites.

    Parameters
    ----------
    cells
        (n_cells_of_site, n_dims).
    groups
        Of each type, the rows of its scored batches.

    Returns
    -------
    total
        Sums of coordinates, (n_types, n_dims).
    squares
        Sums of squared norms, (n_types,).
    """
    total, squares = np.zeros((len(groups), cells.shape[1])), np.zeros(len(groups))
    for number, batches in enumerate(groups):
        for rows in batches:
            total[number] += cells[rows].sum(axis=0)
            squares[number] += (cells[rows] ** 2).sum()
    return total / n_cells, squares / n_cells


def packed_centres(centres: Mapping[View, Centres]) -> dict[str, np.ndarray]:
    """Centres of all views, as arrays to send."""
    return {
        "mean": side_by_side(c.mean for c in centres.values()),
        "spread": np.column_stack([c.spread for c in centres.values()]),
    }


def received_centres(arrays: Mapping[str, np.ndarray], views: list[View]) -> dict[View, Centres]:
    """The opposite of :func:`packed_centres`."""
    means = split(arrays["mean"], views, lambda n_dims: n_dims)
    return {
        view: Centres(means[view], spread)
        for view, spread in zip(views, arrays["spread"].T, strict=True)
    }

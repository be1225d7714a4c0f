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
        Of the means of each type's batches, (n_types, n_dims).
    spread
        Root mean squared distance of a type's cells to it, every batch counting alike, (n_types,);
        0 where they do not vary.
    """

    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, total: np.ndarray, squares: np.ndarray, n_batches: np.ndarray) -> "Centres":
        """From sums over sites of :func:`moment_sums`, and each type's number of batches."""
        mean = total / n_batches[:, None]
        variance = squares / n_batches - (mean**2).sum(axis=1)
        return cls(mean, np.sqrt(np.where(variance > LEAST_VARIANCE, variance, 0.0)))

    def standard(self, cells: np.ndarray, number: int) -> np.ndarray:
        """Cells about the mean of type ``number``, over its spread: mean squared norm 1."""
        spread = self.spread[number]
        return (cells - self.mean[number]) / spread if spread else np.zeros_like(cells)


def moment_sums(cells: np.ndarray, groups: Groups) -> tuple[np.ndarray, np.ndarray]:
    """What one site adds in a view: sums over its batches, every batch counting alike.

    Parameters
    ----------
    cells
        (n_cells_of_site, n_dims).
    groups
        Of each type, the rows of its batches.

    Returns
    -------
    total
        Sums of the batches' means, (n_types, n_dims).
    squares
        Sums of their mean squared norms, (n_types,).
    """
    total, squares = np.zeros((len(groups), cells.shape[1])), np.zeros(len(groups))
    for number, batches in enumerate(groups):
        for rows in batches:
            total[number] += cells[rows].mean(axis=0)
            squares[number] += (cells[rows] ** 2).sum(axis=1).mean()
    return total, squares


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

"""How much of the cells' expression the model reconstructs, beside what their types' means would.

Errors are squared and per gene, of scaled expression, whose pooled mean is 0: predicting that
leaves ``squares``. ``means_error`` is what the mean of the other cells of the same batch and type
leaves: a model that has learned batches and types and nothing else. All are sums over cells.
"""

from dataclasses import dataclass, field

import numpy as np

Group = tuple[str, str | None]


@dataclass
class ReconstructionSums:
    """Gathers one site's sums, chunk after chunk.

    Parameters
    ----------
    validation
        (n_cells_of_site,), bool: held out of the training.
    groups
        Batch and type of each cell.
    """

    validation: np.ndarray
    groups: list[Group]
    error: float = 0.0
    validation_error: float = 0.0
    squares: float = 0.0
    validation_squares: float = 0.0
    _means: dict[Group, tuple[int, np.ndarray, float]] = field(default_factory=dict)

    def add(self, rows: slice, x: np.ndarray, reconstructed: np.ndarray) -> None:
        """Enter some cells; ``x`` and ``reconstructed`` are (n_rows, n_genes)."""
        x = x.astype(np.float64)
        errors = ((x - reconstructed) ** 2).mean(axis=1)
        squares, held_out = (x**2).mean(axis=1), self.validation[rows]
        self.error += float(errors.sum())
        self.validation_error += float(errors[held_out].sum())
        self.squares += float(squares.sum())
        self.validation_squares += float(squares[held_out].sum())
        inside = self.groups[rows]
        for group in set(inside):
            mine = np.array([g == group for g in inside])
            n, total, own = self._means.get(group, (0, np.zeros(x.shape[1]), 0.0))
            total = total + x[mine].sum(axis=0)
            self._means[group] = n + int(mine.sum()), total, own + float(squares[mine].sum())

    def sums(self, n_cells: int) -> dict[str, float]:
        """The site's contribution, over ``n_cells``, the cells of all sites."""
        means_error = 0.0
        for n, total, squares in self._means.values():
            scatter = squares - float(total @ total) / (n * len(total))
            # Each cell against the mean of the others; a cell alone against 0.
            means_error += (n / (n - 1)) ** 2 * scatter if n > 1 else squares
        found = {
            "error": self.error,
            "validation_error": self.validation_error,
            "squares": self.squares,
            "validation_squares": self.validation_squares,
            "means_error": means_error,
        }
        return {name: value / n_cells for name, value in found.items()}


def explained_by_model(sums: dict[str, float]) -> dict[str, float | None]:
    """Shares of the variance of scaled expression, from the sums over sites.

    Returns
    -------
    ``reconstruction`` of all cells, ``validation_reconstruction`` of held-out ones,
    ``means_reconstruction`` by means of batch and type. None where there was nothing to
    reconstruct; below 0 is worse than the pooled mean.
    """

    def share(error: str, squares: str) -> float | None:
        return 1 - sums[error] / sums[squares] if sums[squares] > 0 else None

    return {
        "reconstruction": share("error", "squares"),
        "validation_reconstruction": share("validation_error", "validation_squares"),
        "means_reconstruction": share("means_error", "squares"),
    }

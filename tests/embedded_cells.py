"""Embeddings that tests of metrics share, and neighbours found by brute force."""

import numpy as np

from common.metrics.embedded import Embedded
from common.metrics.registry import METRICS
from common.metrics.score import Score


def score(name: str, embedded: Embedded) -> Score:
    """One metric on one embedding."""
    return METRICS.get(name)(embedded)


def overlapping() -> Embedded:
    """Overlapping types, shifted batches, and a type, "DC", that only batch "x" holds."""
    rng = np.random.default_rng(7)
    cell_type = np.repeat(["B", "NK", "T", "DC"], 60)
    batch = np.tile(["x", "y", "z"], 80)
    batch[cell_type == "DC"] = "x"
    batch[:20] = "x"
    x = rng.normal(size=(240, 6))
    for dim, name in enumerate(["B", "NK", "T", "DC"]):
        x[cell_type == name, dim] += 2.5
    x[batch == "y", 4] += 1.5
    order = rng.permutation(240)
    return Embedded(x[order], batch[order], cell_type[order])


def planted(batch_shift: float, type_shift: float, n: int = 600) -> Embedded:
    """Two batches and three types, each so far apart."""
    rng = np.random.default_rng(3)
    batch, cell_type = rng.choice(["x", "y"], n), rng.choice(["A", "B", "C"], n)
    x = rng.normal(size=(n, 5))
    x[:, 0] += batch_shift * (batch == "y")
    x[:, 1] += type_shift * (cell_type == "B")
    x[:, 2] += type_shift * (cell_type == "C")
    return Embedded(x, batch, cell_type)


def shuffled(cells: Embedded) -> Embedded:
    """The same cells in another order."""
    order = np.random.default_rng(0).permutation(cells.n_cells)
    return Embedded(cells.x[order], cells.batch[order], cells.cell_type[order])


def without_some_types(cells: Embedded) -> Embedded:
    """Every fourth cell's type is taken away."""
    cell_type = cells.cell_type.astype(object)
    cell_type[::4] = None
    return Embedded(cells.x, cells.batch, cell_type)


def brute_neighbours(x: np.ndarray, k: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers and distances, (n_cells, k) each, from the whole table of distances."""
    distances = np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2))
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1)[:, :k], np.sort(distances, axis=1)[:, :k]

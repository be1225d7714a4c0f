"""Small sites for the tests of boosted trees, and forests grown over them."""

import numpy as np
import scipy.sparse as sp

from common.boosting.bins import BinEdges
from common.boosting.forest import FIELDS, Forest
from common.boosting.grower import Boosting, Grower, grow
from common.boosting.site import BoostingSite
from common.boosting.splits import Rules

QUICK = Boosting(Rules(max_depth=3), rounds=3)


def cells(
    n_cells: int = 300, n_genes: int = 12, n_classes: int = 3, seed: int = 0
) -> tuple[sp.csr_matrix, np.ndarray]:
    """log1p expression, float32, and classes that some genes tell; the last gene is all zero."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n_cells)
    rate = rng.gamma(0.5, 2.0, (n_classes, n_genes))
    counts = rng.poisson(rate[labels])
    counts[:, -1] = 0
    depth = rng.uniform(0.3, 3.0, (n_cells, 1))
    return sp.csr_matrix(np.log1p(counts * depth).astype(np.float32)), labels


def forest_of(
    expression: sp.csr_matrix,
    labels: np.ndarray,
    edges: BinEdges,
    boosting: Boosting = QUICK,
    sites: list[np.ndarray] | None = None,
    class_weight: np.ndarray | None = None,
) -> Forest:
    """Grown over sites, each given as the rows of its cells; default one site with all."""
    n_classes = labels.max() + 1
    parts = [np.arange(len(labels))] if sites is None else sites
    counts = sum(np.bincount(labels[rows], minlength=n_classes) for rows in parts)
    grower = Grower(edges, counts, boosting, class_weight)
    return grow(
        grower,
        [BoostingSite(edges.bin_cells(expression[r]), labels[r], edges) for r in parts],
    )


def assert_same(first: Forest, second: Forest) -> None:
    """Bit for bit."""
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def accuracy(forest: Forest, expression: sp.csr_matrix, labels: np.ndarray) -> float:
    """Share of cells whose likeliest class is theirs."""
    return float((forest.probabilities(expression).argmax(axis=1) == labels).mean())

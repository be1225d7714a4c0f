"""Scores of an embedding: by the product's metrics, and of cells that entered without a label."""

from typing import Any

import numpy as np

from bench.cells import Cells
from common.metrics.embedded import Embedded
from common.metrics.entropy_of_batch_mixing import entropy_per_cell
from common.metrics.neighbors import K, nearest_neighbours
from common.metrics.registry import METRICS
from report.evaluation import evaluate_embeddings, principal_components

# A batch holds so many cells of a type, or its K nearest ones are most of them in any embedding.
ENOUGH = 2 * K + 1
# Cells on one point are neighbours in the order of the file, sites one after the other, unless
# they are set apart. Relative to the embedding's own spread.
JITTER = 1e-6
RELABELLINGS = 5

HELD_OUT = {
    "purity": "share of the 15 nearest among all cells with the cell's true type, macro mean",
    "purity_held_out": "the same, neighbours among the held-out cells alone",
    "mixing": "entropy of batch mixing around the held-out cells, neighbours among all cells",
    "own_neighbours": "of its 15 nearest in batch and true type, those kept; 0 by chance, 1 all",
}


def scores(embedding: np.ndarray, cells: Cells) -> dict[str, float | None]:
    """Every registered metric on an embedding (n_cells, n_dims) as it is."""
    found = evaluate_embeddings(
        embedding, {}, cells.batch, cells.cell_type, n_pcs=embedding.shape[1], max_cells=10**6
    )
    (column,) = found["overall"].values()
    return {name: score["value"] for name, score in column.items()}


def held_out_scores(
    embedding: np.ndarray, before: np.ndarray, cells: Cells, hidden: np.ndarray
) -> dict[str, float]:
    """Scores of hidden cells by their true labels: see :data:`HELD_OUT`.

    Parameters
    ----------
    embedding, before
        (n_cells, n_dims) of all cells, corrected and uncorrected.
    hidden
        (n_cells,) bool.
    """
    rows = np.flatnonzero(hidden)
    embedding = set_apart(embedding)
    everyone = Embedded(embedding, cells.batch, cells.cell_type)
    types = everyone.cell_type
    same = (types[everyone.neighbours.indices[rows]] == types[rows, None]).mean(axis=1)
    alone = Embedded(embedding[rows], cells.batch[rows], cells.cell_type[rows])
    return {
        "purity": float(np.mean([same[types[rows] == t].mean() for t in np.unique(types[rows])])),
        "purity_held_out": METRICS.get("knn_purity")(alone).value,
        "mixing": float(entropy_per_cell(everyone)[rows].mean()),
        "own_neighbours": own_neighbours(embedding, before, cells, hidden),
    }


def own_neighbours(
    embedding: np.ndarray, before: np.ndarray, cells: Cells, hidden: np.ndarray
) -> float | None:
    """How much of a hidden cell's neighbourhood within its batch and true type is kept.

    (share - chance) / (1 - chance), the share of the K nearest before that are so still, the chance
    K / (n_group - 1). A matrix of label means has 0: it holds nothing but labels. None where no
    batch has enough cells of a type.
    """
    found = []
    for batch in np.unique(cells.batch.astype(str)):
        for name in np.unique(cells.cell_type.astype(str)):
            group = np.flatnonzero((cells.batch == batch) & (cells.cell_type == name))
            if len(group) < ENOUGH or not hidden[group].any():
                continue
            was, now = (nearest_neighbours(x[group]).indices for x in (before, embedding))
            asked = np.flatnonzero(hidden[group])
            share = np.array([np.isin(was[i], now[i]).mean() for i in asked])
            chance = K / (len(group) - 1)
            found.append((share - chance) / (1 - chance))
    return float(np.concatenate(found).mean()) if found else None


def set_apart(embedding: np.ndarray) -> np.ndarray:
    """The cells with a little noise, which decides between neighbours that are equally near."""
    spread = np.sqrt(embedding.var(axis=0).sum())
    noise = np.random.default_rng(0).normal(size=embedding.shape)
    return embedding + JITTER * spread * noise


def batch_effect(cells: Cells) -> dict[str, Any]:
    """Mixing uncorrected, and when batches are drawn anew among the cells of each type.

    Over the types that two or more batches hold. Without a batch effect the two are equal.
    """
    embedding = principal_components(cells.x, 20, 0)
    measure = METRICS.get("entropy_of_batch_mixing_shared")
    rng = np.random.default_rng(0)
    relabelled = []
    for _ in range(RELABELLINGS):
        batch = cells.batch.copy()
        for name in np.unique(cells.cell_type.astype(str)):
            rows = np.flatnonzero(cells.cell_type == name)
            batch[rows] = batch[rng.permutation(rows)]
        relabelled.append(measure(Embedded(embedding, batch, cells.cell_type)).value)
    uncorrected = measure(Embedded(embedding, cells.batch, cells.cell_type)).value
    return {
        "uncorrected": uncorrected,
        "relabelled": float(np.mean(relabelled)),
        "share": uncorrected / float(np.mean(relabelled)),
    }

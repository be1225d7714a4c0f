"""Batch correction in the latent space: bring each cell type's batches to a reference.

For a cell of type t in batch b: z' = m + A (z - mean_bt), m = mean_bt + w (reference_t - mean_bt),
x' = decode(z'), where mean_bt is the batch's own mean and w = min(1, n_bt / 5): the mean of fewer
than five cells is shrunken towards the reference, since one cell would otherwise become the
reference itself. A is the identity, or makes the batch's covariance the reference's
(``common/alignment.py``).

Labels that steer make counts, means, covariances and references. A cell whose own label does not
may still be shifted, as a cell of type t, by what those of its batch made.

References
----------
Bakhtiari et al. 2025 (FedscGen), doi:10.1186/s13059-025-03684-9; Lotfollahi et al. 2019 (scGen),
doi:10.1038/s41592-019-0494-8.
"""

from dataclasses import dataclass

import numpy as np

from common.alignment import aligning_map, covariance
from common.reference import Reference

CELLS_FOR_A_MEAN = 5


def group_rows(batches: np.ndarray, cell_types: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """Row numbers of each (batch, cell type); cells without a type belong to none."""
    groups = {}
    for batch in np.unique(batches):
        in_batch = batches == batch
        for cell_type in sorted({t for t in cell_types[in_batch] if t is not None}):
            groups[batch, cell_type] = np.flatnonzero(in_batch & (cell_types == cell_type))
    return groups


@dataclass(frozen=True)
class LargestBatch:
    """A site's largest batch of one cell type: how many cells, and which rows."""

    n_cells: int
    rows: np.ndarray


def largest_batches(
    batches: np.ndarray, cell_types: np.ndarray
) -> tuple[dict[str, list[LargestBatch]], dict[str, int]]:
    """Each cell type's largest batches at this site, several if tied, and its number of batches."""
    by_type: dict[str, list[LargestBatch]] = {}
    for (_, cell_type), rows in group_rows(batches, cell_types).items():
        by_type.setdefault(cell_type, []).append(LargestBatch(len(rows), rows))
    largest = {
        cell_type: [b for b in group if b.n_cells == max(g.n_cells for g in group)]
        for cell_type, group in by_type.items()
    }
    return largest, {cell_type: len(group) for cell_type, group in by_type.items()}


def batch_covariances(latent: np.ndarray, batches: list[np.ndarray], least: int) -> np.ndarray:
    """Latent covariances, (n_large_batches, latent_dim, latent_dim), of those of enough cells.

    Parameters
    ----------
    latent
        (n_cells, latent_dim).
    batches
        Rows of one type in each batch.
    least
        Cells that are enough; never fewer than 2.
    """
    large = [rows for rows in batches if len(rows) >= max(least, 2)]
    dim = latent.shape[1]
    found = [covariance(latent[rows]) for rows in large]
    return np.array(found).reshape(len(large), dim, dim)


def own_references(
    latent: np.ndarray,
    batches: np.ndarray,
    cell_types: np.ndarray,
    types: list[str],
    least: int,
    aligned: bool,
) -> dict[str, Reference]:
    """References of types that this site alone holds, by its own batches.

    Where it has two batches or more and the largest has ``least`` cells: what the federation does
    for shared types.
    """
    largest, n_batches = largest_batches(batches, cell_types)
    groups = group_rows(batches, cell_types)
    references = {}
    for name in types:
        if n_batches.get(name, 0) > 1 and largest[name][0].n_cells >= least:
            means = [latent[b.rows].mean(axis=0, dtype=np.float64) for b in largest[name]]
            spread = None
            if aligned:
                rows = [rows for (_, cell_type), rows in groups.items() if cell_type == name]
                spread = batch_covariances(latent, rows, least)
            references[name] = Reference(
                np.mean(means, axis=0),
                spread.mean(axis=0) if spread is not None and len(spread) else None,
            )
    return references


def correct_latent(
    latent: np.ndarray,
    batches: np.ndarray,
    cell_types: np.ndarray,
    references: dict[str, Reference],
    shifted_as: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Bring every cell of a referenced type to its reference, batch by batch.

    Parameters
    ----------
    latent
        (n_cells, latent_dim).
    batches, cell_types
        (n_cells,); the labels that steer: a type of ``None`` is in no batch's mean or covariance.
    references
        Of each shared type.
    shifted_as
        (n_cells,) the type as which each cell is shifted, where others than those that steer are:
        their labels and more.

    Returns
    -------
    corrected
        (n_cells, latent_dim), same dtype.
    shifted
        (n_cells,), bool: the cell's type has a reference.
    """
    shifted_as = cell_types if shifted_as is None else shifted_as
    corrected = latent.copy()
    shifted = np.zeros(len(latent), dtype=bool)
    for (batch, cell_type), rows in group_rows(batches, cell_types).items():
        if cell_type not in references:
            continue
        reference = references[cell_type]
        mean = latent[rows].mean(axis=0, dtype=np.float64)
        weight = min(1.0, len(rows) / CELLS_FOR_A_MEAN)
        moved = np.flatnonzero((batches == batch) & (shifted_as == cell_type))
        own = latent[moved] - mean
        if reference.covariance is not None:
            own = own @ aligning_map(latent[rows], reference.covariance).T
        target = mean + weight * (reference.mean - mean)
        corrected[moved] = (target + own).astype(latent.dtype)
        shifted[moved] = True
    return corrected, shifted

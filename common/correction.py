"""Batch correction in the latent space: shift each cell type's batches to a reference mean.

For a cell of type t in batch b: z' = z + w (reference_t - mean_bt), x' = decode(z'), where mean_bt
is the batch's own mean and w = min(1, n_bt / 5): the mean of fewer than five cells is shrunken
towards the reference, since one cell would otherwise become the reference itself.

References
----------
Bakhtiari et al. 2025 (FedscGen), doi:10.1186/s13059-025-03684-9; Lotfollahi et al. 2019 (scGen),
doi:10.1038/s41592-019-0494-8.
"""

from dataclasses import dataclass

import numpy as np

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


def own_references(
    latent: np.ndarray,
    batches: np.ndarray,
    cell_types: np.ndarray,
    types: list[str],
    least: int,
) -> dict[str, np.ndarray]:
    """Reference means, (latent_dim,) each, of types that this site alone holds, by its own batches.

    They are the means of its largest batch, or of the tied ones, where it has two batches or more
    and the largest has ``least`` cells: what the federation does for shared types.
    """
    largest, n_batches = largest_batches(batches, cell_types)
    references = {}
    for name in types:
        if n_batches.get(name, 0) > 1 and largest[name][0].n_cells >= least:
            means = [latent[b.rows].mean(axis=0, dtype=np.float64) for b in largest[name]]
            references[name] = np.mean(means, axis=0)
    return references


def shift(
    latent: np.ndarray,
    batches: np.ndarray,
    cell_types: np.ndarray,
    references: dict[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Move every cell of a referenced type by its batch's shift.

    Parameters
    ----------
    latent
        (n_cells, latent_dim).
    batches, cell_types
        (n_cells,); a type of ``None`` is unlabelled.
    references
        Reference mean (latent_dim,) of each shared type.

    Returns
    -------
    corrected
        (n_cells, latent_dim), same dtype.
    shifted
        (n_cells,), bool: the cell's type has a reference.
    """
    corrected = latent.copy()
    shifted = np.zeros(len(latent), dtype=bool)
    for (_, cell_type), rows in group_rows(batches, cell_types).items():
        if cell_type not in references:
            continue
        mean = latent[rows].mean(axis=0, dtype=np.float64)
        weight = min(1.0, len(rows) / CELLS_FOR_A_MEAN)
        corrected[rows] += (weight * (references[cell_type] - mean)).astype(latent.dtype)
        shifted[rows] = True
    return corrected, shifted

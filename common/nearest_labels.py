"""A label for each unlabelled cell: that of most of its nearest labelled cells of the same batch.

Of the k = 5 nearest labelled cells in the latent space the most frequent label is taken; of labels
that tie, the one of the nearest cell. The label serves the cell's own correction alone.

References
----------
Cover & Hart 1967 (nearest neighbour classification), doi:10.1109/TIT.1967.1053964.
"""

from dataclasses import dataclass

import numpy as np
import torch

from common.data.obs import labelled

N_NEIGHBOURS = 5
# Distances held at once: the memory taken grows with the cells, not with their square.
DISTANCES = 2**23


@dataclass(frozen=True)
class NearestLabels:
    """What the neighbours of unlabelled cells say.

    Parameters
    ----------
    cell_types
        (n_cells,), object; None for a cell that has a label, or whose batch has no labelled cell.
    agreement
        (n_cells,), float32: the share of the neighbours that have this label, NaN without one.
    """

    cell_types: np.ndarray
    agreement: np.ndarray


def nearest_labels(
    latent: np.ndarray,
    batches: np.ndarray,
    cell_types: np.ndarray,
    device: torch.device,
    n_neighbours: int = N_NEIGHBOURS,
) -> NearestLabels:
    """Labels of the unlabelled cells by their nearest labelled cells.

    Parameters
    ----------
    latent
        (n_cells, latent_dim), uncorrected.
    batches
        (n_cells,) batch names; neighbours are of the same batch.
    cell_types
        (n_cells,), object, None where a cell has no label.
    n_neighbours
        k; fewer where a batch has fewer labelled cells.
    """
    given = labelled(cell_types)
    found = np.full(len(latent), None, dtype=object)
    agreement = np.full(len(latent), np.nan, dtype=np.float32)
    for batch in np.unique(batches[~given]):
        own = batches == batch
        known, asked = np.flatnonzero(own & given), np.flatnonzero(own & ~given)
        if not len(known):
            continue
        nearest_MK = _nearest(latent[asked], latent[known], n_neighbours, device)
        names, codes = np.unique(cell_types[known].astype(str), return_inverse=True)
        codes_MK = codes[nearest_MK]
        # Neighbours of each neighbour's label; the nearest of the largest number stands first.
        votes_MK = (codes_MK[:, :, None] == codes_MK[:, None, :]).sum(axis=2)
        winner_M = votes_MK.argmax(axis=1)
        rows = np.arange(len(asked))
        found[asked] = names[codes_MK[rows, winner_M]].astype(object)
        agreement[asked] = votes_MK[rows, winner_M] / votes_MK.shape[1]
    return NearestLabels(found, agreement)


def _nearest(asked: np.ndarray, known: np.ndarray, k: int, device: torch.device) -> np.ndarray:
    """Which of the ``known`` are the k nearest of each of the ``asked``, nearest first: (m, k)."""
    k = min(k, len(known))
    known_ND = torch.from_numpy(known.astype(np.float64)).to(device)
    chunk, found = max(1, DISTANCES // len(known)), []
    for first in range(0, len(asked), chunk):
        asked_BD = torch.from_numpy(asked[first : first + chunk].astype(np.float64)).to(device)
        nearest = torch.cdist(asked_BD, known_ND).topk(k, largest=False)
        found.append(nearest.indices.cpu().numpy())
    return np.concatenate(found)

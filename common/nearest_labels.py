"""A label for each unlabelled cell: that of most of its nearest labelled cells of the same batch.

Of the k = 5 nearest labelled cells in the latent space the most frequent label is taken; of labels
that tie, the one of the nearest cell. The label serves the cell's own correction alone.

How far two cells lie apart counts in units of how far cells of one type do: d^2 = (z - z')' S^-1
(z - z'), S the covariance of the batch's labelled cells about the means of their types. The latents
in which cells of all types differ most tell no types apart.

References
----------
Cover & Hart 1967 (nearest neighbour classification), doi:10.1109/TIT.1967.1053964; Hastie &
Tibshirani 1996 (distances by the covariance within classes), doi:10.1109/34.506411; Friedman 1989
(covariances shrunk towards a sphere), doi:10.1080/01621459.1989.10478752.
"""

from dataclasses import dataclass

import numpy as np
import torch

from common.data.obs import labelled

N_NEIGHBOURS = 5
# The sphere of the same size counts as so many cells for each latent dimension: S has an inverse.
PRIOR_CELLS = 0.2
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
        names, codes = np.unique(cell_types[known].astype(str), return_inverse=True)
        axes = within_type_axes(latent[known].astype(np.float64), codes)
        near, far = latent[known] @ axes, latent[asked] @ axes
        nearest_MK = _nearest(far, near, n_neighbours, device)
        codes_MK = codes[nearest_MK]
        # Neighbours of each neighbour's label; the nearest of the largest number stands first.
        votes_MK = (codes_MK[:, :, None] == codes_MK[:, None, :]).sum(axis=2)
        winner_M = votes_MK.argmax(axis=1)
        rows = np.arange(len(asked))
        found[asked] = names[codes_MK[rows, winner_M]].astype(object)
        agreement[asked] = votes_MK[rows, winner_M] / votes_MK.shape[1]
    return NearestLabels(found, agreement)


def within_type_axes(latent: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """W of S^-1 = W W', so that distances of z W are those of :func:`nearest_labels`.

    Parameters
    ----------
    latent
        (n_cells, latent_dim), float64, of labelled cells.
    codes
        (n_cells,) which of its types each cell is, from 0.

    Returns
    -------
    axes
        (latent_dim, latent_dim); the identity where no type has two cells that differ.
    """
    n_cells, dim = latent.shape
    means = np.zeros((codes.max() + 1, dim))
    np.add.at(means, codes, latent)
    own = latent - (means / np.bincount(codes)[:, None])[codes]
    products = own.T @ own
    size = np.trace(products) / n_cells / dim
    if size <= np.finfo(np.float32).eps * np.square(latent).mean():
        return np.eye(dim)
    prior = PRIOR_CELLS * dim
    spread, axes = np.linalg.eigh((products + prior * size * np.eye(dim)) / (n_cells + prior))
    return axes / np.sqrt(spread)


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

"""Cells moved towards their nearest neighbours of the same batch in the latent space.

z_i' = z_i + (share / k) sum_j w_ij (z_j - z_i) over the k = 5 nearest cells j of the same batch,
with w_ij = min(1, exp(1 - |z_i - z_j|^2 / (s_i s_j))) and s_i the distance of cell i to its k-th
neighbour. The weights keep a rare type's cells, whose k-th neighbour is far, from being drawn to
other types. No label is used.

References
----------
van Dijk et al. 2018 (diffusion among neighbours), doi:10.1016/j.cell.2018.05.061; Zelnik-Manor &
Perona 2004 (local scaling of distances), Advances in Neural Information Processing Systems 17.
"""

import numpy as np
import torch

N_NEIGHBOURS = 5
# The search is quadratic in cells: those of a larger batch look among a random part of it.
SEARCHED_CELLS = 20_000
CHUNK = 1024
SEED = 0


def smoothed(
    latent: np.ndarray, batches: np.ndarray, share: float, device: torch.device
) -> np.ndarray:
    """Latents moved towards their neighbours; the same shape and dtype.

    Parameters
    ----------
    latent
        (n_cells, latent_dim).
    batches
        (n_cells,) batch names; neighbours are of the same batch.
    share
        How far, 0 to 1.
    """
    out = latent.copy()
    if share == 0:
        return out
    for batch in np.unique(batches):
        rows = np.flatnonzero(batches == batch)
        n_parts = -(-len(rows) // SEARCHED_CELLS)
        shuffled = np.random.default_rng(SEED).permutation(rows) if n_parts > 1 else rows
        for part in np.array_split(shuffled, n_parts):
            out[part] = _among_themselves(latent[part], share, device)
    return out


def _among_themselves(latent: np.ndarray, share: float, device: torch.device) -> np.ndarray:
    k = min(N_NEIGHBOURS, len(latent) - 1)
    if k < 1:
        return latent
    z_ND = torch.from_numpy(latent.astype(np.float64)).to(device)
    distances_NK, nearest_NK = _nearest(z_ND, k)
    scale_N = distances_NK[:, -1]
    # Cells on one point are as near as can be.
    local_NK = (scale_N[:, None] * scale_N[nearest_NK]).clamp(min=torch.finfo(z_ND.dtype).tiny)
    weight_NK = torch.exp(1 - distances_NK.square() / local_NK).clamp(max=1.0)
    moved_ND = torch.zeros_like(z_ND)
    for column in range(k):
        moved_ND += weight_NK[:, column, None] * (z_ND[nearest_NK[:, column]] - z_ND)
    return (z_ND + share / k * moved_ND).cpu().numpy().astype(latent.dtype)


def _nearest(z_ND: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances to the k nearest other cells, rising, and which they are; (n_cells, k) each."""
    found = []
    for first in range(0, len(z_ND), CHUNK):
        chunk_BD = z_ND[first : first + CHUNK]
        distances_BN = torch.cdist(chunk_BD, z_ND)
        own = torch.arange(len(chunk_BD), device=z_ND.device)
        distances_BN[own, first + own] = torch.inf
        found.append(distances_BN.topk(k, largest=False))
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])

"""Cells to latents and back, by a trained model."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from common.data.matrix import ExpressionMatrix
from common.device import memory_guard

CHUNK = 1024


@torch.no_grad()
def encode(model: nn.Module, matrix: ExpressionMatrix, device: torch.device) -> np.ndarray:
    """Posterior means of every cell, (n_cells, latent_dim), float32, in row order."""
    model.to(device).eval()
    with memory_guard(device, CHUNK):
        parts = [
            model.encode(matrix.scaled(rows).to(device))[0].cpu().numpy()
            for rows in matrix.chunks(CHUNK)
        ]
    return np.concatenate(parts)


@torch.no_grad()
def decode_chunks(
    model: nn.Module,
    matrix: ExpressionMatrix,
    latent: np.ndarray,
    corrected: np.ndarray,
    output: str,
    device: torch.device,
) -> Iterator[np.ndarray]:
    """Corrected log1p CP10k of consecutive chunks of cells, each (n_cells_of_chunk, n_genes).

    ``output`` is ``"decoded"``, every cell its reconstruction decode(z'), or ``"residual"``,
    x + decode(z') - decode(z), which keeps the cell's own signal; ``latent`` is z. Both are taken
    back from scaled expression to log1p CP10k.
    """
    model.to(device).eval()
    sd, mean = matrix.scaling.sd.astype(np.float32), matrix.scaling.mean.astype(np.float32)

    def decode(z_BD: np.ndarray) -> np.ndarray:
        return model.decode(torch.from_numpy(z_BD).to(device)).cpu().numpy()

    with memory_guard(device, CHUNK):
        for rows in matrix.chunks(CHUNK):
            decoded = decode(corrected[rows])
            if output == "decoded":
                yield decoded * sd + mean
            else:
                yield matrix.log(rows) + (decoded - decode(latent[rows])) * sd

"""Cells to latents and back, by a trained model."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from common.data.matrix import ExpressionMatrix
from common.device import memory_guard

CHUNK = 1024


@dataclass(frozen=True)
class Adjustment:
    """A linear map of x - decode(z), gene by gene, for groups of cells.

    Parameters
    ----------
    group
        (n_cells,) each cell's row of the others; -1: the cell stays as it is.
    scale, offset
        (n_groups, n_genes), float32; log1p CP10k.
    """

    group: np.ndarray
    scale: np.ndarray
    offset: np.ndarray

    def apply(self, remainder: np.ndarray, rows: slice) -> np.ndarray:
        """What becomes of ``remainder`` (n_rows, n_genes), the cells of these rows."""
        group = self.group[rows]
        known = group >= 0
        adjusted = remainder.copy()
        adjusted[known] *= self.scale[group[known]]
        adjusted[known] += self.offset[group[known]]
        return adjusted


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
def decoded_log(
    model: nn.Module, matrix: ExpressionMatrix, latent: np.ndarray, device: torch.device
) -> np.ndarray:
    """decode(z) as log1p CP10k, float32 (n_cells, n_genes); ``latent`` is z of some cells.

    The model is on ``device`` and does not train.
    """
    decoded = model.decode(torch.from_numpy(latent).to(device)).cpu().numpy()
    sd, mean = (values.astype(np.float32) for values in (matrix.scaling.sd, matrix.scaling.mean))
    return decoded * sd + mean


@torch.no_grad()
def decode_chunks(
    model: nn.Module,
    matrix: ExpressionMatrix,
    latent: np.ndarray,
    corrected: np.ndarray,
    output: str,
    device: torch.device,
    adjustment: Adjustment | None = None,
) -> Iterator[np.ndarray]:
    """Corrected log1p CP10k of consecutive chunks of cells, each (n_cells_of_chunk, n_genes).

    ``output`` is ``"decoded"``, every cell its reconstruction decode(z'), or ``"residual"``,
    x + decode(z') - decode(z), which keeps the cell's own signal; ``latent`` is z. With an
    ``adjustment`` it is decode(z') + r', r' what that makes of r = x - decode(z). Both are taken
    back from scaled expression to log1p CP10k.
    """
    model.to(device).eval()
    with memory_guard(device, CHUNK):
        for rows in matrix.chunks(CHUNK):
            decoded = decoded_log(model, matrix, corrected[rows], device)
            if output == "decoded":
                yield decoded
                continue
            before = decoded_log(model, matrix, latent[rows], device)
            if adjustment is None:
                yield matrix.log(rows) + (decoded - before)
            else:
                yield decoded + adjustment.apply(matrix.log(rows) - before, rows)
